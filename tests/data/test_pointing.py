from __future__ import annotations

import pytest
from builders import make_record

from vrft_pl.answers import Instance, Instances, Points
from vrft_pl.data import DetectionScenes, Pointing
from vrft_pl.types import InputError

BOX = (0.0, 0.0, 10.0, 10.0)


def objects(*items, categories=("dog",), **kwargs):
    return Instances(tuple(items), categories, "a.jpg", **kwargs)


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        (Points((BOX, (5.0, 5.0))), (BOX, (5.0, 5.0))),
        (objects(Instance(BOX, "dog")), (BOX,)),
        (objects(), ()),
        ([[5, 5], [0, 0, 10, 10]], ((5.0, 5.0), BOX)),
        ([], ()),
        ([[-0.5, 64.5]], ((0.0, 64.0),)),
    ],
)
def test_places_are_read_from_what_sources_have(answer, places):
    assert Pointing().solution(make_record(answer)) == Points(places)


def test_written_places_are_in_the_space_that_is_said():
    record = make_record([[500, 250], [0, 0, 500, 500]])
    assert Pointing("permille").solution(record) == Points(((32.0, 16.0), (0.0, 0.0, 32.0, 32.0)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (3, r"expected the answer to be a list of points \[x, y\] or boxes \[x1, y1, x2, y2\], but got 3"),
        ([[5, 500]], r"expected a point inside the image of 64 x 64 pixels, but got \[5.0, 500.0\]"),
        ([[1, 2, 3]], r"expected a box \[x1, y1, x2, y2\], but got \[1, 2, 3\]"),
        (objects(categories=("dog", "cat")), r"expected one category to point at, but got \['dog', 'cat'\]"),
        (objects(Instance(BOX, "dog", crowd=True)), "expected every 'dog' to be annotated alone, but some are not"),
        (objects(not_exhaustive=("dog",)), "expected every 'dog' to be annotated alone, but some are not"),
    ],
)
def test_what_cannot_be_pointed_at_is_named(answer, message):
    with pytest.raises(InputError, match=f"row 7: {message}"):
        Pointing().solution(make_record(answer))


def test_a_point_needs_one_picture():
    with pytest.raises(InputError, match="row 7: expected one picture for points, but got 2"):
        Pointing().solution(make_record([], images=2))


def test_scenes_of_detection_are_pointed_at():
    task = Pointing(val={"id": DetectionScenes(size=4)}, style="answer")
    task.setup("validate")
    samples = [task.val_dataloader()[0].dataset[i] for i in range(4)]
    assert {len(sample.solution.places) for sample in samples} > {1}

from __future__ import annotations

import pytest
from builders import make_record
from PIL import Image

from vrft_pl.answers import Box, Mask, Number
from vrft_pl.data import Counting, Grounding, GroundingScenes, Record
from vrft_pl.data.images import FileImage
from vrft_pl.types import InputError


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(3, 3.0), (0, 0.0), (2.5, 2.5), ("3", 3.0), (" -4.0 ", -4.0), ("<answer> 12 </answer>", 12.0)],
    ids=str,
)
def test_a_number_is_read_from_a_row(answer, expected):
    assert Counting().solution(make_record(answer)) == Number(expected)


@pytest.mark.parametrize(
    "answer",
    ["many", "", "3 dogs", "nan", "inf", "1e999", float("nan"), True, None, [3], {"value": 3}, 10**400],
    ids=lambda v: str(v)[:12],
)
def test_an_answer_that_is_no_number_is_named_with_its_row(answer):
    with pytest.raises(InputError, match="rows.json, row 7: expected the answer to be a number, but got"):
        Counting().solution(make_record(answer))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param([1, 2, 30, 40.5], (1, 2, 30, 40.5), id="list"),
        pytest.param("[1, 2, 30, 40]", (1, 2, 30, 40), id="json"),
        pytest.param("<answer>[1, 2, 30, 40]</answer>", (1, 2, 30, 40), id="tags"),
        pytest.param("(1,2),(30,40)", (1, 2, 30, 40), id="two-points-as-text"),
        pytest.param([[1, 2], [30, 40]], (1, 2, 30, 40), id="two-points"),
        pytest.param((1, 2, 30, 40), (1, 2, 30, 40), id="tuple"),
        pytest.param(Box((1, 2, 30, 40)), (1, 2, 30, 40), id="typed"),
        pytest.param([0, 0, 64, 64], (0, 0, 64, 64), id="whole-picture"),
        pytest.param([-0.5, -1, 64.5, 65], (0, 0, 64, 64), id="cut-within-the-tolerance"),
    ],
)
def test_a_box_is_read_from_a_row(answer, expected):
    assert Grounding().solution(make_record(answer)) == Box(expected)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param("dog", r"expected .*a box \[x1, y1, x2, y2\], but got 'dog'", id="word"),
        pytest.param("[" * 100_000, "expected .*a box", id="deep"),
        pytest.param("9" * 5000, "expected .*a box", id="huge-integer"),
        pytest.param([10**400, 0, 1, 1], "expected .*a box", id="beyond-float"),
        pytest.param([1, 2, 3], r"expected .*a box .* but got \[1, 2, 3\]", id="three-numbers"),
        pytest.param([1, 2, 3, 4, 5], "expected .*a box", id="five-numbers"),
        pytest.param([1, 2, 3, 4, "x"], "expected .*a box", id="four-and-a-word"),
        pytest.param([1, 2, 3, "4"], "expected .*a box", id="string"),
        pytest.param([0, 0, True, True], "expected .*a box", id="booleans"),
        pytest.param([0, 0, float("nan"), 1], "expected .*a box", id="nan"),
        pytest.param([0, 0, float("inf"), 1], "expected .*a box", id="infinite"),
        pytest.param({"box": [0, 0, 1, 1]}, "expected .*a box", id="object"),
        pytest.param(None, "expected .*a box", id="none"),
        pytest.param([30, 40, 1, 2], "expected a box with x2 > x1 and y2 > y1, but got", id="inverted"),
        pytest.param([1, 2, 1, 40], "expected a box with x2 > x1 and y2 > y1, but got", id="no-width"),
        pytest.param([1, 2, 66, 40], "expected a box inside the image of 64 x 64 pixels, but got", id="right-of-it"),
        pytest.param([1, 2, 30, 66], "expected a box inside the image of 64 x 64 pixels, but got", id="below-it"),
        pytest.param([-2, 2, 30, 40], "expected a box inside the image of 64 x 64 pixels, but got", id="left-of-it"),
        pytest.param([2, -2, 30, 40], "expected a box inside the image of 64 x 64 pixels, but got", id="above-it"),
    ],
)
def test_an_answer_that_is_no_box_is_named_with_its_row(answer, message):
    with pytest.raises(InputError, match=f"rows.json, row 7: {message}"):
        Grounding().solution(make_record(answer))


@pytest.mark.parametrize(("space", "factor"), [("pixels", 1), ("permille", 1000 / 64), ("unit", 1 / 64)])
@pytest.mark.parametrize("write", [list, str, lambda box: f"<answer>({box[0]},{box[1]}),({box[2]},{box[3]})</answer>"])
def test_written_boxes_are_in_the_space_of_the_rows(space, factor, write):
    answer = write([v * factor for v in (16, 8, 32, 64)])
    assert Grounding(annotation_space=space).solution(make_record(answer)) == Box((16, 8, 32, 64))


@pytest.mark.parametrize("space", ["pixels", "permille", "unit"])
def test_a_typed_box_is_in_pixels_and_keeps_its_mask(space):
    mask = Mask(((16.0, 8.0, 32.0, 8.0, 32.0, 64.0),))
    task = Grounding(annotation_space=space)
    assert task.solution(make_record(Box((16, 8, 32, 64.5), mask))) == Box((16, 8, 32, 64), mask)
    with pytest.raises(InputError, match="row 7: expected a box inside the image of 64 x 64 pixels, but got"):
        task.solution(make_record(Box((160, 8, 320, 64), mask)))


@pytest.mark.parametrize("space", ["pixels", "permille", "unit"])
def test_boxes_of_scenes_are_in_pixels_whatever_the_rows_are_in(space):
    scenes = GroundingScenes(size=3)
    boxes = [Grounding(annotation_space=space).solution(record) for record in scenes]
    assert boxes == [record.answer for record in scenes]


@pytest.mark.parametrize("images", [0, 2])
def test_a_box_belongs_to_one_picture(images):
    with pytest.raises(InputError, match=f"row 7: expected one picture for a box, but got {images}"):
        Grounding().solution(make_record([1, 2, 3, 4], images=images))


def test_the_edges_are_those_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 20)).save(tmp_path / "turned.png", exif=exif)
    record = Record("row 7", (FileImage(tmp_path / "turned.png", "row 7"),), "?", [0, 50, 20, 100])
    assert Grounding().solution(record) == Box((0, 50, 20, 100))

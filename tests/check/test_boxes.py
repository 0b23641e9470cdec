import random

import numpy as np
import pytest

from vrft_pl.check.annotated import Boxes, raw_boxes
from vrft_pl.check.boxes import FORMATS, misread, too_loose

SMALL, LARGE = (96, 64), (1400, 1300)


def true_boxes(size, count=30, seed=0):
    """Boxes anywhere in pictures of one size, xyxy pixels. Shape (count, 4)."""
    rng = random.Random(seed)
    spans = [sorted(rng.sample(range(limit + 1), 2)) for _ in range(count) for limit in size]
    return np.array([[x[0], y[0], x[1], y[1]] for x, y in zip(spans[::2], spans[1::2], strict=True)], dtype=float)


def boxes(numbers, size, space="pixels"):
    return Boxes(np.asarray(numbers), np.array([size] * len(numbers), dtype=float), ["row"] * len(numbers), space)


def scaled(numbers, size, unit):
    return numbers * unit / np.array([*size, *size])


def written(numbers, form):
    """Turn xyxy into another format."""
    x1, y1, x2, y2 = numbers.T
    forms = {
        "[x, y, width, height]": (x1, y1, x2 - x1, y2 - y1),
        "[centre x, centre y, width, height]": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
        "[y1, x1, y2, x2]": (y1, x1, y2, x2),
        "[x1, y1, x2, y2] in a file of [x, y, width, height]": (x1, y1, x1 + x2, y1 + y2),
    }
    return np.stack(forms[form], axis=1)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("form", [form for form in FORMATS if form != "[x1, y1, x2, y2]"])
def test_another_format_is_named(form, size):
    for seed in range(5):
        (finding,) = misread("train", boxes(written(true_boxes(size, seed=seed), form), size))
        assert f"100% fit as {form} in pixels. Convert the boxes." in finding.what
        assert finding.level == "error"
        assert finding.rows


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("space", ["pixels", "permille", "unit"])
def test_right_boxes_are_not_suspected(space, size):
    unit = {"pixels": None, "permille": 1000, "unit": 1}[space]
    for seed in range(20):
        numbers = true_boxes(size, seed=seed)
        given = boxes(numbers if unit is None else scaled(numbers, size, unit), size, space)
        assert misread("train", given) == []
        assert too_loose("train", given) == []


@pytest.mark.parametrize("edge", [-0.8, 0.8], ids=["before", "after"])
def test_boxes_that_pass_an_edge_by_rounding_fit(edge):
    assert misread("train", boxes(np.array([[edge, edge, 96 + edge, 64 + edge]] * 4), SMALL)) == []


@pytest.mark.parametrize(
    ("size", "unit", "declared", "meant"),
    [
        (SMALL, 1000, "pixels", "permille"),
        (SMALL, 1, "pixels", "unit"),
        (LARGE, 1, "permille", "unit"),
        (LARGE, None, "permille", "pixels"),
        (SMALL, None, "permille", "pixels"),
        (LARGE, 1000, "pixels", "permille"),
        (SMALL, 1000, "unit", "permille"),
    ],
)
def test_another_space_is_named(size, unit, declared, meant):
    for seed in range(5):
        numbers = true_boxes(size, seed=seed)
        given = boxes(numbers if unit is None else scaled(numbers, size, unit), size, declared)
        found = [*misread("train", given), *too_loose("train", given)]
        assert any(f"Set `annotation_space: {meant}`" in finding.what for finding in found)
        assert found[0].level == "error"


def test_a_wrong_format_alone_explains_as_much_as_a_wrong_space_too():
    numbers = written(true_boxes((900, 900)), "[x, y, width, height]")
    (finding,) = misread("train", boxes(numbers, LARGE))
    assert "100% fit as [x, y, width, height] in pixels" in finding.what


def test_few_boxes_in_a_corner_prove_nothing():
    assert too_loose("train", boxes(true_boxes((300, 200), count=10), LARGE)) == []


def test_many_boxes_in_a_corner_are_a_warning():
    (finding, *_) = too_loose("train", boxes(true_boxes((300, 200)), LARGE))
    assert finding.level == "warning"


def test_noise_is_no_reading():
    numbers = np.random.default_rng(0).uniform(-500, 5000, (40, 4))
    assert misread("train", boxes(numbers, SMALL)) == []  # each row is refused by its task


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([1, 2, 3, 4], [[1, 2, 3, 4]]),
        ("[9, 8, 1, 2]", [[9, 8, 1, 2]]),
        ("<answer>(1,2),(3,4)</answer>", [[1, 2, 3, 4]]),
        ([{"Position": [1, 2, 3, 4]}, {"bbox": [5, 6, 7, 8], "score": 1}], [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("No Objects", []),
        ("[" * 90_000, []),
        (None, []),
        ([1, 2, 3, True], []),
        ([float("nan"), 1, 2, 3], []),
    ],
)
def test_boxes_are_found_in_answers_of_any_form(answer, expected):
    assert list(raw_boxes(answer)) == expected

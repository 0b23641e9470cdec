from __future__ import annotations

import pytest
import torch
from builders import PIXELS, make_sample
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from vrft_pl.rewards import BoxAccuracy, BoxIoU
from vrft_pl.rewards.boxes import pair_iou
from vrft_pl.solutions import Box
from vrft_pl.types import AnswerFrame

TRUTH = make_sample(Box((10.0, 10.0, 30.0, 20.0)), "answer")
BOXES = st.tuples(*[st.integers(0, 400)] * 2, *[st.integers(1, 200)] * 2).map(
    lambda v: (v[0] / 4, v[1] / 4, (v[0] + v[2]) / 4, (v[1] + v[3]) / 4)
)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param((0, 0, 10, 10), 1.0, id="same"),
        pytest.param((0, 0, 10, 5), 0.5, id="half"),
        pytest.param((5, 5, 15, 15), 25 / 175, id="corner"),
        pytest.param((9, 9, 19, 19), 1 / 199, id="one-pixel"),
        pytest.param((10, 0, 20, 10), 0.0, id="touching"),
        pytest.param((20, 20, 30, 30), 0.0, id="apart"),
        pytest.param((20, 0, 30, 10), 0.0, id="beside"),
        pytest.param((2, 2, 4, 4), 0.04, id="inside"),
    ],
)
def test_overlap_by_hand(other, expected):
    assert pair_iou((0, 0, 10, 10), other) == pytest.approx(expected)
    assert pair_iou(other, (0, 0, 10, 10)) == pytest.approx(expected)


@given(BOXES, BOXES)
def test_overlap_agrees_with_torchvision(a, b):
    oracle = box_iou(torch.tensor([a], dtype=torch.double), torch.tensor([b], dtype=torch.double)).item()
    assert pair_iou(a, b) == pytest.approx(oracle)


@given(BOXES, BOXES, st.floats(1e-3, 1e3))
def test_overlap_does_not_depend_on_the_unit(a, b, scale):
    scaled = [tuple(v * scale for v in box) for box in (a, b)]
    assert pair_iou(*scaled) == pytest.approx(pair_iou(a, b), abs=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[10, 10, 30, 20]", 1.0, id="right"),
        pytest.param("(10,10),(30,20)", 1.0, id="corners"),
        pytest.param("[10, 10, 20, 20]", 0.5, id="half"),
        pytest.param("[50, 50, 60, 60]", 0.0, id="elsewhere"),
        pytest.param("[0, 0, 100, 100]", 0.02, id="whole-image"),
        pytest.param("[-1e9, -1e9, 1e9, 1e9]", 0.02, id="cut-at-the-edges"),
        pytest.param("[-1e308, -1e308, 1e308, 1e308]", 0.02, id="cut-though-huge"),
        pytest.param("[200, 200, 300, 300]", 0.0, id="outside"),
        pytest.param("[-50, -50, -10, -10]", 0.0, id="left-of-the-image"),
        pytest.param("[30, 20, 10, 10]", None, id="inverted"),
        pytest.param("[10, 10, 10, 20]", None, id="no-area"),
        pytest.param("[10, 10, 30, 20], [10, 10, 30, 20]", None, id="twice"),
        pytest.param("no box", None, id="no-box"),
    ],
)
def test_an_answered_box_scores_its_overlap(text, expected):
    assert BoxIoU().grade_one(text, TRUTH, PIXELS) == (None if expected is None else pytest.approx(expected))


def test_an_inverted_box_never_pays():
    """The published LISA reward gives up to 101, and a GIoU of signed areas 4,000,000."""
    for text in ("(100,100),(0,0)", "[100, 100, -100, -100]"):
        assert not BoxIoU().grade_one(text, TRUTH, PIXELS)


def test_an_equal_top_edge_is_not_enough():
    """math-verify compares one number of a list; the published detection reward gave 1 for this."""
    assert BoxIoU().grade_one("[60, 10, 90, 90]", TRUTH, PIXELS) == 0


def test_coordinates_are_read_in_the_space_of_the_policy():
    frame = AnswerFrame(100, 50, 0.1, 0.05)
    assert BoxIoU().grade_one("[100, 200, 300, 400]", TRUTH, frame) == pytest.approx(1.0)
    assert BoxIoU().grade_one("[10, 10, 30, 20]", TRUTH, frame) == 0


def test_a_completion_without_picture_holds_no_box():
    assert BoxIoU().grade_one("[10, 10, 30, 20]", TRUTH, None) is None


@pytest.mark.parametrize(
    ("threshold", "iou", "accuracy"),
    [
        pytest.param(0.4, 0.5, 1.0, id="below"),
        pytest.param(0.5, 0.5, 1.0, id="at"),
        pytest.param(0.6, 0.0, 0.0, id="above"),
    ],
)
def test_overlap_counts_from_the_threshold(threshold, iou, accuracy):
    text = "[10, 10, 20, 20]"
    assert BoxIoU(threshold).grade_one(text, TRUTH, PIXELS) == iou
    assert BoxAccuracy(threshold).grade_one(text, TRUTH, PIXELS) == accuracy


def test_accuracy_is_at_half_by_default_and_keeps_parse_failures():
    assert BoxAccuracy().grade_one("[10, 10, 21, 20]", TRUTH, PIXELS) == 1
    assert BoxAccuracy().grade_one("[10, 10, 19, 20]", TRUTH, PIXELS) == 0
    assert BoxAccuracy().grade_one("no box", TRUTH, PIXELS) is None


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_an_overlap(threshold):
    with pytest.raises(ValueError, match=rf"Expected `threshold` to be an IoU in \[0, 1\], but got {threshold}"):
        BoxIoU(threshold)


def test_accuracy_needs_a_threshold():
    with pytest.raises(ValueError, match="Expected `threshold` to be above 0, but got 0: every box would be right"):
        BoxAccuracy(0)

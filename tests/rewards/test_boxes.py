from __future__ import annotations

import pytest
from builders import PIXELS, make_sample
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.answers import AnswerFrame, Box
from vrft_pl.rewards.boxes import BoxAccuracy, BoxGIoU, BoxIoU, limit_box
from vrft_pl.rewards.parsing import Unread

TRUTH = make_sample(Box((10.0, 10.0, 30.0, 20.0)), "answer")
BOXES = st.tuples(*[st.integers(0, 400)] * 2, *[st.integers(1, 200)] * 2).map(
    lambda v: (v[0] / 4, v[1] / 4, (v[0] + v[2]) / 4, (v[1] + v[3]) / 4)
)


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
    ],
)
def test_an_answered_box_scores_its_overlap(text, expected):
    assert BoxIoU().grade_one(text, TRUTH, PIXELS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("[30, 20, 10, 10]", Unread.NO_AREA, id="inverted"),
        pytest.param("[10, 10, 10, 20]", Unread.NO_AREA, id="no-area"),
        pytest.param("[10, 10, 30, 20], [10, 10, 30, 20]", Unread.AMBIGUOUS, id="twice"),
        pytest.param("no box", Unread.MALFORMED, id="no-box"),
        pytest.param("", Unread.EMPTY, id="empty"),
        # the published LISA reward gives up to 101 for these, and a GIoU of signed areas 4,000,000
        pytest.param("(100,100),(0,0)", Unread.NO_AREA, id="lisa"),
        pytest.param("[100, 100, -100, -100]", Unread.NO_AREA, id="negative"),
    ],
)
@pytest.mark.parametrize("reward", [BoxIoU(), BoxAccuracy(), BoxGIoU()], ids=str)
def test_what_is_no_box_with_an_area_is_a_parse_failure(text, reason, reward):
    assert reward.grade_one(text, TRUTH, PIXELS) is reason


def test_an_equal_top_edge_is_not_enough():
    """math-verify compares one number of a list; the published detection reward gave 1 for this."""
    assert BoxIoU().grade_one("[60, 10, 90, 90]", TRUTH, PIXELS) == 0


def test_coordinates_are_read_in_the_space_of_the_policy():
    frame = AnswerFrame(100, 50, 0.1, 0.05)
    assert BoxIoU().grade_one("[100, 200, 300, 400]", TRUTH, frame) == pytest.approx(1.0)
    assert BoxIoU().grade_one("[10, 10, 30, 20]", TRUTH, frame) == 0


def test_a_completion_without_picture_holds_no_box():
    for reward in (BoxIoU(), BoxAccuracy(), BoxGIoU()):
        assert reward.grade_one("[10, 10, 30, 20]", TRUTH, None) is Unread.NO_PICTURE


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
    assert BoxAccuracy().grade_one("no box", TRUTH, PIXELS) is Unread.MALFORMED


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_an_overlap(threshold):
    with pytest.raises(ValueError, match=rf"Expected `threshold` to be an IoU in \[0, 1\], but got {threshold}"):
        BoxIoU(threshold)


def test_accuracy_needs_a_threshold():
    with pytest.raises(ValueError, match="Expected `threshold` to be above 0, but got 0: every box would be right"):
        BoxAccuracy(0)


@given(st.lists(st.floats(-1e308, 1e308), min_size=4, max_size=4), st.floats(1e-3, 1e3))
def test_any_box_scores_in_bounds(values, scale):
    text, frame = str(values), AnswerFrame(100, 100, scale, scale)
    for reward in (BoxIoU(), BoxGIoU()):
        score = reward.grade_one(text, TRUTH, frame)
        assert isinstance(score, Unread) or 0 <= score <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[10, 10, 30, 20]", 1.0, id="right"),
        pytest.param("[30, 10, 50, 20]", 0.5, id="touching"),
        pytest.param("[50, 10, 70, 20]", 1 / 3, id="apart"),
        pytest.param("[0, 0, 100, 100]", (1 + 0.02) / 2, id="whole-image"),
        pytest.param("[-1e308, -1e308, 1e308, 1e308]", (1 + 200 / 90_000) / 2, id="limited-to-one-image-around"),
        pytest.param("[1e6, 10, 2e6, 20]", (1 - (190 - 20) / 190) / 2, id="far-outside"),
    ],
)
def test_a_near_miss_scores_more_than_a_far_one(text, expected):
    assert BoxGIoU().grade_one(text, TRUTH, PIXELS) == pytest.approx(expected)


@given(st.integers(0, 39), st.integers(1, 20))
def test_moving_a_box_towards_the_truth_never_lowers_generalized_overlap(left, step):
    score = BoxGIoU().grade_one(f"[{80 - left}, 10, {100 - left}, 20]", TRUTH, PIXELS)
    assert score >= BoxGIoU().grade_one(f"[{80 - left + step}, 10, {100 - left + step}, 20]", TRUTH, PIXELS)


def test_an_edge_at_zero_has_no_sign():
    box = limit_box((-50.0, -5.0, -1.0, 4.0), AnswerFrame(10, 10, 1.0, 1.0))
    assert str([float(edge) for edge in box]) == "[0.0, 0.0, 0.0, 4.0]"

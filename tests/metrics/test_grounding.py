from __future__ import annotations

import numpy as np
import pytest
from builders import PIXELS, make_completions
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vrft_pl.answers import Box, Mask
from vrft_pl.metrics import GroundingIoU, MaskIoU
from vrft_pl.metrics.grounding import box_pixels, paint_target
from vrft_pl.types import InputError, Sample


def rectangle(x1, y1, x2, y2):
    return (x1, y1, x2, y1, x2, y2, x1, y2)


TRUTH = Box((10.0, 10.0, 30.0, 20.0), Mask((rectangle(10, 10, 30, 20),)))


def judge(metric, *cases, frame=PIXELS):
    """Judge ``(answer, truth)``."""
    samples = [Sample(str(i), (), "Question?", truth, style="answer") for i, (_, truth) in enumerate(cases)]
    metric.update(make_completions([text for text, _ in cases], frame), samples)
    return {name: value.item() for name, value in metric.values().items()}


CASES = [("[10, 10, 30, 20]", TRUTH), ("[10, 10, 20, 20]", TRUTH), ("[10, 10, 18, 20]", TRUTH), ("no box", TRUTH)]


def test_boxes_by_hand():
    expected = {
        "GroundingIoU": (1 + 0.5 + 0.4 + 0) / 4,
        "GroundingIoU/accuracy_50": 0.5,
        "GroundingIoU/accuracy_75": 0.25,
        "parse_failures/GroundingIoU": 0.25,
    }
    assert judge(GroundingIoU((0.5, 0.75)), *CASES) == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0.0, 1.5, float("nan")])
def test_a_threshold_is_an_overlap_above_0(threshold):
    with pytest.raises(ValueError, match=rf"Expected `thresholds` to be IoU in \(0, 1\], but got {threshold}"):
        GroundingIoU((0.5, threshold))


def test_masks_by_hand():
    """Overlaps of 200 of 200, 100 of 200 and 80 of 200 pixels, and an unread answer on a target of 200."""
    expected = {"MaskIoU/gIoU": (1 + 0.5 + 0.4 + 0) / 4, "MaskIoU/cIoU": 380 / 800, "parse_failures/MaskIoU": 0.25}
    assert judge(MaskIoU(), *CASES) == pytest.approx(expected)


def test_cumulative_overlap_weighs_large_targets_more():
    small = Box((0.0, 0.0, 2.0, 2.0), Mask((rectangle(0, 0, 2, 2),)))
    numbers = judge(MaskIoU(), CASES[0], ("[50, 50, 60, 60]", small))
    assert (numbers["MaskIoU/gIoU"], numbers["MaskIoU/cIoU"]) == pytest.approx((0.5, 200 / 304))


def test_the_target_is_the_union_of_all_shapes():
    """The published evaluation reads the first shape only."""
    two = Box((0.0, 0.0, 40.0, 10.0), Mask((rectangle(0, 0, 10, 10), rectangle(5, 0, 40, 10))))
    assert judge(MaskIoU(), ("[0, 0, 40, 10]", two))["MaskIoU/gIoU"] == 1


def test_ignored_pixels_count_for_nothing():
    truth = Box((0.0, 0.0, 10.0, 10.0), Mask((rectangle(0, 0, 10, 10),), (rectangle(10, 0, 40, 10),)))
    assert judge(MaskIoU(), ("[0, 0, 40, 10]", truth))["MaskIoU/gIoU"] == 1
    assert judge(MaskIoU(), ("[0, 0, 50, 10]", truth))["MaskIoU/gIoU"] == 0.5


def test_smaller_shapes_are_painted_over_larger_ones():
    for target, ignored, count in (((0, 0, 10, 10), (2, 2, 4, 4), 96), ((2, 2, 4, 4), (0, 0, 10, 10), 4)):
        pixels, left_out = paint_target(Mask((rectangle(*target),), (rectangle(*ignored),)), 20, 20)
        assert (pixels.sum(), left_out.sum()) == (count, 100 - count)


def test_a_target_without_a_pixel_is_met_by_an_answer_without_one():
    hidden = Box((2.0, 2.0, 4.0, 4.0), Mask((rectangle(0, 0, 10, 10),), (rectangle(0, 0, 10, 10),)))
    assert judge(MaskIoU(), ("[2, 2, 4, 4]", hidden)) == {"MaskIoU/gIoU": 1.0, "parse_failures/MaskIoU": 0.0}
    assert judge(MaskIoU(), ("no box", hidden))["MaskIoU/gIoU"] == 0
    assert judge(MaskIoU(), ("[20, 20, 40, 40]", hidden))["MaskIoU/gIoU"] == 0


def test_samples_without_a_mask_are_left_out():
    assert judge(MaskIoU(), ("[10, 10, 30, 20]", Box((10.0, 10.0, 30.0, 20.0)))) == {}


@given(st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 20)] * 2))
def test_a_box_and_its_polygon_cover_the_same_pixels(values):
    x, y, width, height = values
    box = (x, y, x + width, y + height)
    np.testing.assert_array_equal(paint_target(Mask((rectangle(*box),)), 60, 60)[0], box_pixels(box, 60, 60))


@given(st.lists(st.integers(0, 500), min_size=6, max_size=12).filter(lambda v: len(v) % 2 == 0))
@settings(deadline=None)
def test_polygons_agree_with_another_rasteriser_up_to_their_outline(values):
    picture = Image.new("1", (500, 500))
    ImageDraw.Draw(picture).polygon(values, fill=1)
    pixels, _ = paint_target(Mask((tuple(values),)), 500, 500)
    length = sum(abs(a - b) for a, b in zip(values, values[2:] + values[:2], strict=True))
    assert (pixels != np.array(picture)).sum() <= 1.5 * length + 10


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        pytest.param((1.4, 1.4, 3.6, 3.6), (slice(1, 4), slice(1, 4)), id="centres-inside"),
        pytest.param((1.6, 0, 3.4, 2), (slice(0, 2), slice(2, 3)), id="centres-outside"),
        pytest.param((5, 5, 5, 5), (slice(0), slice(0)), id="no-area"),
        pytest.param((0, 0, 6, 6), (slice(0, 6), slice(0, 6)), id="whole-image"),
    ],
)
def test_a_box_covers_pixels_by_their_centres(box, shape):
    expected = np.zeros((6, 6), dtype=bool)
    expected[shape] = True
    np.testing.assert_array_equal(box_pixels(box, 6, 6), expected)


class Half:
    """Takes the left half of a box."""

    def __call__(self, sample, xyxy):
        x1, y1, x2, y2 = xyxy
        assert 0 <= x1 < x2 <= 100
        assert 0 <= y1 < y2 <= 100
        return box_pixels((x1, y1, (x1 + x2) / 2, y2), 100, 100)


def test_a_segmenter_turns_the_box_into_a_mask():
    assert judge(MaskIoU(Half()), ("[10, 10, 30, 20]", TRUTH))["MaskIoU/gIoU"] == 0.5
    assert judge(MaskIoU(Half()), ("[-10, 10, 60, 20]", TRUTH))["MaskIoU/gIoU"] == pytest.approx(2 / 3)
    assert judge(MaskIoU(Half()), ("[500, 10, 600, 20]", TRUTH))["MaskIoU/gIoU"] == 0


def test_a_segmenter_returns_a_mask_of_the_image():
    message = r"0: expected the segmenter to return a mask of shape \(100, 100\), but got \(3, 4\)"
    with pytest.raises(InputError, match=message):
        judge(MaskIoU(lambda sample, xyxy: np.zeros((3, 4))), ("[10, 10, 30, 20]", TRUTH))


def test_a_mask_needs_a_picture():
    with pytest.raises(InputError, match="0: expected a picture for a ground truth with a mask, but there is none"):
        judge(MaskIoU(), ("[10, 10, 30, 20]", TRUTH), frame=None)

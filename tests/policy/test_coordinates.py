from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.policy.coordinates import DESCRIPTIONS, answer_frame

SIZES = [(640, 480), (641, 479), (1, 1), (10_000, 3), (3, 10_000), (27, 28)]
SIDE = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("space", "answered"),
    [
        pytest.param("permille", (250, 500, 1000, 750), id="permille"),
        pytest.param("permille_y_first", (500, 250, 750, 1000), id="permille-y-first"),
        pytest.param("bins_1024_y_first", (512, 256, 768, 1024), id="bins-y-first"),
        pytest.param("bins_32", (8, 16, 32, 24), id="grid"),
        pytest.param("percent", (25, 50, 100, 75), id="percent"),
        pytest.param("resized_pixels", (70, 70, 280, 105), id="resized-pixels"),
        pytest.param("pixels", (160, 240, 640, 360), id="pixels"),
        pytest.param("unit", (0.25, 0.5, 1.0, 0.75), id="unit"),
    ],
)
def test_one_box_in_every_space(space, answered):
    frame = answer_frame(space, (640, 480), (280, 140))
    assert frame.to_pixels(answered) == pytest.approx((160, 240, 640, 360))
    assert frame.to_answer((160, 240, 640, 360)) == pytest.approx(answered)
    assert (frame.width, frame.height) == (640, 480)


@pytest.mark.parametrize("space", DESCRIPTIONS)
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("resized", [(28, 28), (56, 9996)], ids=str)
def test_round_trips_of_odd_sizes_and_extreme_shapes(space, size, resized):
    frame = answer_frame(space, size, resized)
    width, height = size
    for box in ((0, 0, width, height), (width * 0.3, height * 0.7, width * 0.31, height * 0.99)):
        assert frame.to_pixels(frame.to_answer(box)) == pytest.approx(box)
        assert frame.to_answer(frame.to_pixels(box)) == pytest.approx(box)


@given(st.sampled_from(sorted(DESCRIPTIONS)), SIDE, SIDE, SIDE, SIDE)
def test_the_far_corner_is_the_size_of_the_picture(space, width, height, resized_width, resized_height):
    frame = answer_frame(space, (width, height), (resized_width, resized_height))
    corner = {
        "permille": (1000, 1000),
        "permille_y_first": (1000, 1000),
        "bins_1024_y_first": (1024, 1024),
        "bins_32": (32, 32),
        "percent": (100, 100),
        "unit": (1, 1),
        "pixels": (width, height),
        "resized_pixels": (resized_width, resized_height),
    }
    assert frame.to_pixels((0, 0, *corner[space])) == pytest.approx((0, 0, width, height))


@given(SIDE, SIDE, st.floats(0, 1), st.floats(0, 1))
def test_a_rounded_answer_misses_by_half_a_unit_at_most(width, height, x, y):
    frame = answer_frame("permille", (width, height), None)
    rounded = [round(v) for v in frame.to_answer((0, 0, x * width, y * height))]
    _, _, right, bottom = frame.to_pixels(rounded)
    assert abs(right - x * width) <= width / 2000 * 1.001
    assert abs(bottom - y * height) <= height / 2000 * 1.001


def test_resized_pixels_need_the_resized_size():
    with pytest.raises(
        ValueError, match="`coordinates: resized_pixels` needs a processor that reports the size of its"
    ):
        answer_frame("resized_pixels", (640, 480), None)

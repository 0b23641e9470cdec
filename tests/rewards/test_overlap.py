from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou, generalized_box_iou

from vrft_pl.rewards.overlap import box_areas, intersection_and_union, intersections, iou_matrix, pair_giou, pair_iou

BOXES = st.tuples(*[st.integers(0, 400)] * 2, *[st.integers(1, 200)] * 2).map(
    lambda v: (v[0] / 4, v[1] / 4, (v[0] + v[2]) / 4, (v[1] + v[3]) / 4)
)
ANY_BOXES = st.tuples(*[st.floats(-1e4, 1e4)] * 2, *[st.floats(1e-3, 1e4)] * 2).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
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
    ("other", "expected"),
    [
        pytest.param((0, 0, 10, 10), 1.0, id="same"),
        pytest.param((0, 0, 10, 5), 0.5, id="half"),
        pytest.param((10, 0, 20, 10), 0.0, id="touching-in-line"),
        pytest.param((5, 5, 15, 15), 25 / 175 - 50 / 225, id="corner"),
        pytest.param((30, 0, 40, 10), -0.5, id="apart"),
        pytest.param((20, 20, 20, 20), 0 - 300 / 400, id="a-point"),
    ],
)
def test_generalized_overlap_by_hand(other, expected):
    assert pair_giou((0, 0, 10, 10), other) == pytest.approx(expected)
    assert pair_giou(other, (0, 0, 10, 10)) == pytest.approx(expected)


@given(BOXES, BOXES)
def test_generalized_overlap_agrees_with_torchvision(a, b):
    oracle = generalized_box_iou(torch.tensor([a], dtype=torch.double), torch.tensor([b], dtype=torch.double)).item()
    assert pair_giou(a, b) == pytest.approx(oracle)


@given(st.lists(ANY_BOXES, min_size=1, max_size=6), st.lists(ANY_BOXES, min_size=1, max_size=6))
def test_two_boxes_and_many_agree_to_the_last_bit(a, b):
    left, right = np.array(a), np.array(b)
    pairs = [[intersection_and_union(x, y) for y in b] for x in a]
    common = intersections(left, right)
    union = box_areas(left)[:, None] + box_areas(right) - common
    assert np.array(pairs).tolist() == np.stack([common, union], axis=-1).tolist()
    assert [[pair_iou(x, y) for y in b] for x in a] == iou_matrix(left, right).tolist()


@given(st.lists(BOXES, min_size=1, max_size=6), st.lists(BOXES, min_size=1, max_size=6))
def test_overlaps_of_many_agree_with_torchvision(a, b):
    oracle = box_iou(torch.tensor(a, dtype=torch.double), torch.tensor(b, dtype=torch.double)).numpy()
    np.testing.assert_allclose(iou_matrix(np.array(a), np.array(b)), oracle)


def test_a_box_without_an_area_overlaps_nothing():
    assert pair_iou((5, 5, 5, 9), (0, 0, 10, 10)) == 0
    assert iou_matrix(np.array([[5.0, 5, 5, 9]]), np.array([[0.0, 0, 10, 10]])).tolist() == [[0]]

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timing import seconds

from vrft_pl.rewards.matching import matched_ious, pair_boxes
from vrft_pl.rewards.overlap import iou_matrix

BOX = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(5, 40)] * 2).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)


@given(st.lists(BOX, max_size=8), st.lists(BOX, max_size=8), st.sampled_from([0.0, 0.3]), st.data())
def test_few_boxes_are_paired_as_many_are(a, b, threshold, data):
    left, right = (np.array(boxes, float).reshape(-1, 4) for boxes in (a, b))
    some = st.lists(st.booleans(), min_size=len(a) * len(b), max_size=len(a) * len(b))
    allowed = data.draw(st.none() | some.map(lambda v: np.array(v, bool).reshape(len(a), len(b))))
    preference = data.draw(st.none() | st.just(np.linspace(0, 1, len(a))))
    ious = iou_matrix(left, right)
    ious[ious < threshold] = 0
    if allowed is not None:
        ious[~allowed] = 0
    expected = matched_ious(ious, preference)
    np.testing.assert_allclose(pair_boxes(left, right, threshold, allowed, preference), expected, rtol=1e-12)


def test_leaving_out_rows_that_no_best_pairing_needs_changes_nothing():
    generator = np.random.default_rng(0)
    for _ in range(50):
        values = generator.random((16, 3)) * (generator.random((16, 3)) > 0.5)
        best = max(values[list(rows), range(3)].sum() for rows in itertools.permutations(range(16), 3))
        assert matched_ious(values).sum() == pytest.approx(best)


def test_thousands_of_boxes_are_paired_within_some_milliseconds():
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 900, (5100, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(5, 100, (5100, 2))], axis=1)
    assert seconds(lambda: matched_ious(iou_matrix(boxes[:5000], boxes[5000:])), enough=0.05) < 0.05
    assert (matched_ious(iou_matrix(boxes[:5000], boxes[5000:])) > 0).sum() == 100


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        pytest.param([0.2, 0.1], [0.5, 0.0], id="the-surer"),
        pytest.param([0.1, 0.2], [0.0, 0.5], id="the-surer-comes-later"),
        pytest.param([np.nan, 0.0], [0.0, 0.5], id="without-confidence-is-less-than-none-at-all"),
        pytest.param([0.0, np.nan], [0.5, 0.0], id="likewise-where-it-comes-later"),
    ],
)
def test_of_equal_boxes_the_surer_one_is_paired(preference, expected):
    ious = np.array([[0.5], [0.5]])
    np.testing.assert_allclose(matched_ious(ious, np.array(preference)), expected)

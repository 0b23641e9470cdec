from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from vrft_pl.metrics import wilson_interval


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [
        pytest.param(0, 1, (0.0, 1.96**2 / (1 + 1.96**2)), id="none-of-one"),
        pytest.param(1, 1, (1 / (1 + 1.96**2), 1.0), id="one-of-one"),
        pytest.param(5, 10, (0.2366, 0.7634), id="half"),
    ],
)
def test_the_interval_by_hand(successes, count, expected):
    assert wilson_interval(successes, count) == pytest.approx(expected, abs=1e-4)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_the_interval_agrees_with_scipy(count, share, confidence):
    successes = round(share * count)
    oracle = binomtest(successes, count).proportion_ci(confidence, method="wilson")
    ends = wilson_interval(successes, count, float(norm.ppf((1 + confidence) / 2)))
    assert ends == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def test_four_times_the_samples_about_halve_the_interval():
    widths = [high - low for low, high in (wilson_interval(n // 2, n) for n in (1000, 4000))]
    assert math.isclose(widths[0] / widths[1], 2, rel_tol=0.01)


@pytest.mark.parametrize(
    ("successes", "count", "message"),
    [
        pytest.param(0, 0, "Expected `count` to be at least 1, but got 0", id="no-trial"),
        pytest.param(4, 3, "Expected `successes` to be in 0 to 3, but got 4", id="too-many"),
        pytest.param(-1, 3, "Expected `successes` to be in 0 to 3, but got -1", id="negative"),
    ],
)
def test_an_interval_needs_trials(successes, count, message):
    with pytest.raises(ValueError, match=message):
        wilson_interval(successes, count)

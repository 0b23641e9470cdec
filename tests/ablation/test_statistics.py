from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vrft_pl.ablation.statistics import Interval, area_under, crossed_bootstrap, holm, paired_t, seeds_needed


def test_the_interval_of_paired_differences_is_that_of_scipy():
    differences = [0.02, -0.01, 0.05, 0.03, 0.01]
    got, oracle = paired_t(differences), stats.ttest_1samp(differences, 0)
    ends = oracle.confidence_interval(0.95)
    assert (got.mean, got.low, got.high, got.p) == pytest.approx((0.02, ends.low, ends.high, oracle.pvalue))
    wide = paired_t(differences, level=0.99)
    assert wide.low < got.low < got.high < wide.high
    assert wide.p == got.p


def test_the_sign_of_differences_turns_the_interval_round():
    one, other = paired_t([0.1, 0.3, 0.2]), paired_t([-0.1, -0.3, -0.2])
    assert (one.low, one.high, one.p) == pytest.approx((-other.high, -other.low, other.p))


@pytest.mark.parametrize(("value", "p"), [(0.1, 0.0), (0.0, 1.0)])
def test_differences_that_are_all_alike_have_an_interval_without_width(value, p):
    assert paired_t([value] * 3) == Interval(value, value, value, p)


def test_differences_that_are_alike_but_for_the_rounding_of_single_precision_have_no_width_either():
    scores = np.float32([[200 / 384, 250 / 384, 300 / 384], [100 / 384, 150 / 384, 200 / 384]]).astype(float)
    assert np.ptp(scores[0] - scores[1]) > 0
    interval = paired_t(scores[0] - scores[1])
    assert interval.low == interval.high == pytest.approx(100 / 384, abs=1e-6)
    assert paired_t([1e-9, -1e-9, 2e-9]) == Interval(0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_t_intervals_hold_the_truth_as_often_as_they_say(seeds):
    rng = np.random.default_rng(seeds)
    held = [(interval := paired_t(rng.normal(0.05, 0.04, seeds))).low <= 0.05 <= interval.high for _ in range(1000)]
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize(("seeds", "least"), [(5, 0.82), (10, 0.88)])
def test_the_crossed_bootstrap_holds_the_truth_nearly_so_often_where_seeds_and_samples_vary(seeds, least):
    rng, held, samples_only = np.random.default_rng(seeds), [], []
    for i in range(300):
        difficulty, run = rng.normal(0, 0.05, 60), rng.normal(0, 0.05, seeds)
        noise = rng.normal(0, 0.2, (2, seeds, 60))
        a, b = 0.05 + difficulty + run[:, None] + noise[0], noise[1]
        interval = crossed_bootstrap(a, b, draws=400, seed=i)
        held.append(interval.low <= 0.05 <= interval.high)
        alone = paired_t((a - b).mean(axis=0))  # samples as if they were all that varies
        samples_only.append(alone.low <= 0.05 <= alone.high)
    assert least <= np.mean(held) <= 0.99
    assert np.mean(samples_only) < np.mean(held) - 0.05


def test_the_crossed_bootstrap_is_wider_than_one_of_seeds_alone():
    rng = np.random.default_rng(0)
    b, a = rng.random((6, 20)), rng.random((6, 20)) + rng.normal(0, 0.5, 20)
    both, seeds = crossed_bootstrap(a, b), crossed_bootstrap(*(x.mean(axis=1, keepdims=True) for x in (a, b)))
    assert both.mean == pytest.approx(seeds.mean)
    assert both.high - both.low > 2 * (seeds.high - seeds.low)


def test_the_crossed_bootstrap_draws_the_same_rows_and_columns_for_both_arms():
    rng = np.random.default_rng(0)
    b = rng.random((4, 30))
    interval = crossed_bootstrap(b + 0.1, b)
    assert (interval.low, interval.high) == pytest.approx((0.1, 0.1))
    assert interval.p == pytest.approx(2 / 10_001)
    assert crossed_bootstrap(b, b).p == 1


def test_the_crossed_bootstrap_follows_its_seed_alone():
    a, b = np.random.default_rng(1).random((2, 3, 8))
    assert crossed_bootstrap(a, b, draws=700) == crossed_bootstrap(a, b, draws=700)
    assert crossed_bootstrap(a, b, draws=700) != crossed_bootstrap(a, b, draws=700, seed=1)


def test_the_variance_of_crossed_draws_is_that_of_seeds_and_of_samples():
    """With no interaction the mean of redrawn seeds and samples has the sum of both variances."""
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(0, 1, 5), rng.normal(0, 1, 40)
    interval = crossed_bootstrap(rows[:, None] + columns, np.zeros((5, 40)), level=0.6827, draws=20_000)
    expected = np.sqrt(rows.var() / 5 + columns.var() / 40)
    assert (interval.high - interval.low) / 2 == pytest.approx(expected, rel=0.05)


def test_holm_multiplies_by_the_tests_that_are_left_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_finds_a_difference_where_there_is_none_as_seldom_as_it_says():
    rng = np.random.default_rng(0)
    found = [min(holm(rng.random(3).tolist())) <= 0.05 for _ in range(2000)]
    assert 0.035 <= np.mean(found) <= 0.065


def test_the_area_of_a_flat_curve_is_its_height_and_doublings_weigh_the_same():
    assert area_under([16, 64, 256], [0.4, 0.4, 0.4]) == pytest.approx(0.4)
    assert area_under([1, 2, 8], [0.0, 1.0, 1.0]) == pytest.approx((0.5 + 2) / 3)
    assert area_under([0.25, 1.0], [0.0, 1.0]) == pytest.approx(0.5)


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 34), (0.8, 15), (1.0, 10), (2.0, 5)])
def test_seeds_needed_are_those_of_the_tables_of_the_t_test(effect, seeds):
    assert seeds_needed(1.0, effect) == seeds


def test_so_many_seeds_find_the_difference_and_one_fewer_do_not():
    rng, needed = np.random.default_rng(0), seeds_needed(0.03, 0.03)
    power = {
        n: np.mean([paired_t(rng.normal(0.03, 0.03, n)).p <= 0.05 for _ in range(3000)]) for n in (needed - 1, needed)
    }
    assert power[needed - 1] - 0.02 < 0.8 < power[needed] + 0.02
    assert power[needed - 1] < power[needed]


def test_seeds_needed_have_a_least_and_a_most():
    assert seeds_needed(0.0, 0.03) == 2
    assert seeds_needed(1e-9, 0.03) == 2
    assert seeds_needed(5.0, 0.001) == 10_000
    assert seeds_needed(0.03, 0.03, power=0.95) > seeds_needed(0.03, 0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_t([0.1]), r"Expected the differences of at least 2 seeds, but got an array of shape \(1,\)"),
        (lambda: paired_t([0.1, float("nan")]), "Expected `differences` to be finite numbers, but got nan"),
        (lambda: paired_t([0.1, 0.2], 1.0), "Expected `level` to be above 0 and below 1, but got 1.0"),
        (lambda: crossed_bootstrap([[1.0]], [[1.0, 2.0]]), r"of one shape \(seeds, samples\), but got \(1, 1\) and"),
        (lambda: crossed_bootstrap([1.0], [1.0]), r"of one shape \(seeds, samples\), but got \(1,\)"),
        (lambda: crossed_bootstrap([[1.0]], [[1.0]], draws=0), "Expected `draws` to be at least 1, but got 0"),
        (lambda: crossed_bootstrap([[float("inf")]], [[1.0]]), "Expected `a` to be finite numbers, but got inf"),
        (lambda: holm([0.1, 1.5]), r"Expected p-values from 0 to 1, but got \[1.5\]"),
        (lambda: holm([float("nan")]), "Expected p-values from 0 to 1"),
        (lambda: area_under([16], [0.1]), "Expected at least 2 sizes with a score each, but got 1 and 1"),
        (lambda: area_under([16, 16], [0.1, 0.2]), r"Expected `rows` to be positive and ascending, but got \[16, 16\]"),
        (lambda: area_under([0, 16], [0.1, 0.2]), "Expected `rows` to be positive and ascending"),
        (lambda: seeds_needed(-1.0, 0.1), "Expected `sd` of at least 0 and `resolution` above 0, but got -1.0 and 0.1"),
        (lambda: seeds_needed(1.0, 0.1, power=0.0), "Expected `power` to be above 0 and below 1, but got 0.0"),
    ],
)
def test_arguments_that_are_wrong_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

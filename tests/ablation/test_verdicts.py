from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vrft_pl.ablation.statistics import holm, paired_t
from vrft_pl.ablation.verdicts import MIN_SEEDS, sentence, verdict
from vrft_pl.runs.ablation import Contrast

FOUND = Contrast(
    "RFT against SFT",
    "rft",
    "sft",
    "target/id/NumberMatch",
    64,
    primary=True,
    difference=0.17,
    low=0.05,
    high=0.29,
    p=0.01,
    p_adjusted=0.02,
    bootstrap=(0.06, 0.28),
    pairs=(0.1, 0.2, 0.15, 0.25, 0.15),
    seeds_needed=9,
)
OPEN = replace(FOUND, difference=-0.012, low=-0.047, high=0.023, p=0.3, p_adjusted=0.6, bootstrap=(-0.05, 0.03))


def test_a_difference_is_claimed_with_its_interval_seeds_and_corrected_p():
    assert sentence(FOUND) == (
        "rft scores higher than sft on target/id/NumberMatch with 64 rows: +0.170 (95 % interval +0.050 to +0.290 over "
        "5 seeds, p = 0.020 after Holm's correction)."
    )


def test_a_lower_score_is_called_lower_and_not_worse():
    below = replace(FOUND, difference=-0.17, low=-0.29, high=-0.05, bootstrap=(-0.28, -0.06), p_adjusted=1e-5)
    assert sentence(below).startswith("rft scores lower than sft on target/id/NumberMatch")
    assert "p < 0.001 after" in sentence(below)
    assert "worse" not in sentence(below)


def test_a_wide_interval_does_not_make_two_arms_equal():
    assert sentence(OPEN) == (
        "No difference between rft and sft is shown on target/id/NumberMatch with 64 rows: -0.012 (95 % interval "
        "-0.047 to +0.023 over 5 seeds, p = 0.600 after Holm's correction). That does not make them equal: anything "
        "from -0.047 to +0.023 fits. To find 0.03 takes about 9 seeds."
    )
    assert "takes about" not in sentence(replace(OPEN, seeds_needed=4))


def test_a_difference_is_called_small_only_where_the_interval_lies_within_the_margin():
    small = replace(OPEN, low=-0.02, high=0.02, difference=0.0)
    assert sentence(small).endswith("If there is one, it is likely below 0.03.")
    assert "does not make them equal" in sentence(small, margin=0.01)
    assert "does not make them equal" in sentence(replace(small, high=0.03))


def test_what_was_significant_before_correction_alone_is_not_claimed():
    assert sentence(replace(FOUND, p=0.03, p_adjusted=0.06)).startswith("No difference between rft and sft is shown")


def test_what_was_not_named_before_is_exploratory_and_uncorrected():
    said = sentence(replace(FOUND, primary=False, p_adjusted=None))
    assert said.startswith("Exploratory: rft scores higher than sft")
    assert "p = 0.010 uncorrected" in said
    assert sentence(replace(OPEN, primary=False)).startswith("Exploratory: No difference")


def test_a_difference_that_other_samples_may_undo_is_said_to():
    said = sentence(replace(FOUND, bootstrap=(-0.01, 0.35)))
    assert said.startswith("rft scores higher than sft")
    assert said.endswith(
        "With other held-out samples it may not hold: drawn over seeds and samples, -0.010 to +0.350 fits."
    )
    assert "other held-out" not in sentence(replace(FOUND, bootstrap=None))


@pytest.mark.parametrize(("difference", "p"), [(0.17, 0.0), (0.0, 1.0)])
def test_seeds_that_all_differ_by_the_same_are_no_verdict(difference, p):
    same = replace(FOUND, difference=difference, low=difference, high=difference, pairs=(difference,) * 3, p=p)
    for contrast in (same, replace(same, p_adjusted=p), replace(same, primary=False, p_adjusted=None)):
        assert sentence(contrast) == (
            "rft against sft on target/id/NumberMatch with 64 rows: no verdict, for all 3 seeds differ by the same "
            f"{difference:+.3f}, and how far another may lie can't be told."
        )


@pytest.mark.parametrize("pairs", [(), (0.1,), (0.1, 0.2), (0.1, None, 0.2)])
def test_nothing_is_said_of_fewer_than_three_seeds(pairs):
    known = len([pair for pair in pairs if pair is not None])
    said = sentence(replace(FOUND, pairs=pairs))
    assert (
        said == f"rft against sft on target/id/NumberMatch with 64 rows: no verdict from {known} of at least 3 seeds."
    )


def test_a_difference_that_could_not_be_computed_is_no_verdict():
    assert sentence(replace(FOUND, p=None)).endswith("no verdict, for the difference could not be computed.")


@pytest.mark.parametrize(
    ("rows", "shown"),
    [(None, ""), (64.0, " with 64 rows"), (0.25, " with 0.25 of the rows"), ("4 shots", " with 4 shots")],
)
def test_the_size_is_said_as_it_was_drawn(rows, shown):
    assert f" on target/id/NumberMatch{shown}: no verdict" in sentence(replace(FOUND, rows=rows, pairs=()))


@pytest.mark.parametrize("seeds", [0, 1, 2])
def test_a_verdict_is_refused_under_three_seeds(seeds):
    (said,) = verdict([FOUND], seeds)
    assert said.startswith("No verdict: there")
    assert f"{seeds} of at least {MIN_SEEDS} seeds" in said
    assert "rft" not in said


def test_a_verdict_has_the_primary_contrasts_and_counts_the_others():
    other = replace(FOUND, primary=False, arm="ans_sft")
    assert verdict([FOUND, OPEN, other, other], 5) == [
        sentence(FOUND),
        sentence(OPEN),
        "2 further contrasts are exploratory: not corrected for how many there are, to be confirmed by a run of its "
        "own.",
    ]
    assert not any("ans_sft" in said for said in verdict([FOUND, other], 5))
    assert "1 further contrast is exploratory" in verdict([FOUND, other], 5)[-1]


def test_a_sentence_that_is_there_is_kept():
    assert verdict([replace(FOUND, sentence="As it was.")], 5) == ["As it was."]


def test_three_seeds_are_said_to_be_few():
    assert verdict([FOUND], 3)[-1] == "3 seeds are few: a difference may shrink or vanish with 5."
    assert verdict([FOUND], 5) == [sentence(FOUND)]


def test_without_a_primary_contrast_nothing_is_concluded():
    said = verdict([replace(FOUND, primary=False)], 5)
    assert said[0] == "No primary contrast was named before the results were there, so nothing is concluded."


def test_where_there_is_no_difference_three_primary_contrasts_claim_one_as_seldom_as_they_should():
    rng, claimed = np.random.default_rng(0), 0
    for _ in range(400):
        pairs = rng.normal(0, 0.03, (3, 5))
        tests = [paired_t(row) for row in pairs]
        adjusted = holm([test.p for test in tests])
        contrasts = [
            replace(
                FOUND, difference=t.mean, low=t.low, high=t.high, p=t.p, p_adjusted=p, pairs=tuple(row), bootstrap=None
            )
            for t, p, row in zip(tests, adjusted, pairs.tolist(), strict=True)
        ]
        claimed += any("scores" in said for said in verdict(contrasts, 5))
    assert 0.02 <= claimed / 400 <= 0.08

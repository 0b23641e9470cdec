from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch
from builders import make_scores
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.algorithms import GroupAdvantage, KLPenalty, MaxRLAdvantage
from vrft_pl.types import InputError


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        pytest.param([1.0, 0.0, 0.0, 0.0], [3.0, -1.0, -1.0, -1.0], id="one-of-four"),
        pytest.param([1.0, 1.0, 0.0, 0.0], [1.0, 1.0, -1.0, -1.0], id="two-of-four"),
        pytest.param([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], id="none"),
        pytest.param([1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], id="all"),
        pytest.param([0.1, 0.1, 0.1, 0.5], [-0.5, -0.5, -0.5, 1.5], id="graded"),
    ],
)
def test_one_group_by_hand(rewards, expected):
    torch.testing.assert_close(MaxRLAdvantage()(make_scores(4, a=torch.tensor(rewards))), torch.tensor(expected))


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("chance", [0.05, 0.5, 0.9])
def test_what_is_ascended_is_the_truncated_likelihood(size, chance):
    """Mean gradient by the logit over every outcome of a group, against the derivative of the series."""
    mean = 0.0
    for outcome in product([0.0, 1.0], repeat=size):
        weight = prod(chance if right else 1 - chance for right in outcome)
        advantages = MaxRLAdvantage()(make_scores(size, a=torch.tensor(outcome)))
        scores = [right - chance for right in outcome]  # of log-probs by the logit
        mean += weight * sum(float(a) * s for a, s in zip(advantages, scores, strict=True)) / size
    derivative = sum((1 - chance) ** k for k in range(size - 1)) * chance * (1 - chance)
    assert mean == pytest.approx(derivative, rel=1e-4)


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
def test_no_advantage_exceeds_the_others_of_the_group(rewards):
    advantages = MaxRLAdvantage()(make_scores(4, a=torch.tensor(rewards)))
    assert advantages.isfinite().all()
    assert advantages.max() <= 3.001
    assert advantages.min() >= -1.001


@pytest.mark.parametrize("value", [0.1, 1 / 3])
def test_equal_rewards_have_exactly_no_advantage(value):
    assert (MaxRLAdvantage()(make_scores(7, a=torch.full((7,), value))) == 0).all()


def test_a_negative_reward_is_refused():
    scores = make_scores(2, {"a": -1.0}, a=torch.tensor([0.5, 0.0]))
    with pytest.raises(InputError, match=r"Expected rewards of 0 or more with MaxRLAdvantage, but got -0\.5"):
        MaxRLAdvantage()(scores)


def test_rewards_that_may_be_negative_are_refused_before_a_run():
    for advantage in (MaxRLAdvantage(), KLPenalty(0.1, MaxRLAdvantage())):
        with pytest.raises(
            ValueError, match="Expected rewards of 0 or more with MaxRLAdvantage, but one of them may be"
        ):
            advantage.insist([(0.0, 1.0), (-1.0, 0.0)])
    MaxRLAdvantage().insist([(0.0, 1.0), (-float("inf"), float("inf"))])
    with pytest.raises(ValueError, match="one of them may be less"):
        KLPenalty(0.1, MaxRLAdvantage()).insist([(0.0, 1.0)])
    GroupAdvantage().insist([(-1.0, 0.0)])

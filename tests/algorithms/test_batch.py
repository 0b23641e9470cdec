from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from builders import make_scores
from hypothesis import given
from hypothesis import strategies as st
from ranks import of_two

from vrft_pl.algorithms import BatchAdvantage, GDPOAdvantage, GroupAdvantage
from vrft_pl.algorithms.batch import batch_moments

REWARDS = torch.tensor([1.0, 0.0, 3.0, 1.0, 2.0, 2.0])
"""Three groups of two."""


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        pytest.param({}, [0.5, -0.5, 1.0, -1.0, 0.0, 0.0], id="mean-of-the-group"),
        pytest.param({"baseline": "leave_one_out"}, [1.0, -1.0, 2.0, -2.0, 0.0, 0.0], id="mean-of-the-others"),
        pytest.param({"baseline": "batch"}, [-0.5, -1.5, 1.5, -0.5, 0.5, 0.5], id="mean-of-all"),
    ],
)
def test_three_groups_by_hand(kwargs, expected):
    """The deviation of 0, 1, 1, 2, 2, 3 is the root of 5.5 / 5."""
    advantages = BatchAdvantage(**kwargs, eps=0.0)(make_scores(2, a=REWARDS))
    torch.testing.assert_close(advantages, torch.tensor(expected) / 1.1**0.5)


def test_the_deviation_of_the_advantages_by_hand():
    """Squares of 0.5, 0.5, 1 and 1 sum to 2.5."""
    advantages = BatchAdvantage(std_of="advantages", eps=0.0)(make_scores(2, a=REWARDS))
    torch.testing.assert_close(advantages, torch.tensor([0.5, -0.5, 1.0, -1.0, 0.0, 0.0]) / 0.5**0.5)


def test_epsilon_is_added_to_the_deviation():
    advantages = BatchAdvantage(eps=1.0)(make_scores(2, a=torch.tensor([0.0, 2.0])))
    torch.testing.assert_close(advantages, torch.tensor([-1.0, 1.0]) / (2**0.5 + 1))


def test_of_one_group_it_is_that_of_the_group():
    scores = make_scores(4, a=torch.tensor([0.1, 0.4, 0.9, 0.2]))
    torch.testing.assert_close(BatchAdvantage()(scores), GroupAdvantage()(scores))


@pytest.mark.parametrize("make", [BatchAdvantage, GDPOAdvantage])
def test_a_batch_of_equal_rewards_has_exactly_no_advantage(make):
    assert (make()(make_scores(3, a=torch.full((6,), 1 / 3))) == 0).all()


VALUES = st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=12)


@given(VALUES)
def test_moments_are_those_of_torch(values):
    values = torch.tensor(values)
    mean, std = batch_moments(values)
    torch.testing.assert_close(mean, values.mean(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(std, values.std(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "advantage", [BatchAdvantage(), BatchAdvantage("batch"), GDPOAdvantage()], ids=["group", "batch", "gdpo"]
)
def test_two_ranks_with_unequal_shares_weigh_as_one(advantage):
    rewards = {"a": torch.randn(10), "b": torch.rand(10)}
    shares = [{name: part[:6] for name, part in rewards.items()}, {name: part[6:] for name, part in rewards.items()}]
    apart = of_two([lambda share=share: advantage(make_scores(2, **share)) for share in shares])
    torch.testing.assert_close(torch.cat(apart), advantage(make_scores(2, **rewards)))


@pytest.mark.parametrize(
    "advantage", [BatchAdvantage(), BatchAdvantage("batch"), GDPOAdvantage()], ids=["group", "batch", "gdpo"]
)
def test_company_for_another_rank_counts_nowhere(advantage):
    rewards = torch.randn(10)
    company = replace(
        make_scores(2, a=torch.cat([rewards[6:], torch.tensor([70.0, -9.0])])), counted=torch.arange(6) < 4
    )
    apart = of_two([lambda: advantage(make_scores(2, a=rewards[:6])), lambda: advantage(company)])
    expected = advantage(make_scores(2, a=rewards))
    torch.testing.assert_close(torch.cat([apart[0], apart[1][:4]]), expected)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"baseline": "group"}, "Expected `baseline` to be one of .* but got 'group'", id="baseline"),
        pytest.param({"std_of": "tokens"}, "Expected `std_of` to be one of .* but got 'tokens'", id="std-of"),
        pytest.param({"eps": -1.0}, "Expected `eps` to be 0 or more, but got -1.0", id="eps"),
    ],
)
def test_values_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        BatchAdvantage(**kwargs)

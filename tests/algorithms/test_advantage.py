from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.algorithms import GroupAdvantage, group_advantage
from vrft_pl.types import Scores

GROUPS = st.integers(2, 6).flatmap(
    lambda size: st.tuples(
        st.just(size), st.lists(st.lists(st.floats(-10, 10, width=32), min_size=size, max_size=size), min_size=1)
    )
)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        pytest.param({"scale_by_std": False}, [-2.0, 0.0, 2.0], id="centred"),
        pytest.param({"eps": 0.0}, [-1.0, 0.0, 1.0], id="divided-by-unbiased-std"),
        pytest.param({"eps": 2.0}, [-0.5, 0.0, 0.5], id="eps-is-added-to-the-std"),
        pytest.param({"scale_by_std": False, "baseline": "leave_one_out"}, [-3.0, 0.0, 3.0], id="leave-one-out"),
    ],
)
def test_one_group_by_hand(kwargs, expected):
    torch.testing.assert_close(group_advantage(torch.tensor([0.0, 2.0, 4.0]), 3, **kwargs), torch.tensor(expected))


def test_neighbours_form_a_group():
    advantages = group_advantage(torch.tensor([0.0, 2.0, 10.0, 30.0]), 2, scale_by_std=False)
    torch.testing.assert_close(advantages, torch.tensor([-1.0, 1.0, -10.0, 10.0]))


def test_leave_one_out_subtracts_the_mean_of_the_others():
    rewards = torch.tensor([1.0, 4.0, 2.5, 0.0])
    others = torch.stack([torch.cat([rewards[:i], rewards[i + 1 :]]).mean() for i in range(4)])
    torch.testing.assert_close(group_advantage(rewards, 4, False, "leave_one_out"), rewards - others)


@given(GROUPS)
def test_each_group_sums_to_zero(groups):
    size, rewards = groups
    advantages = group_advantage(torch.tensor(rewards).flatten(), size, scale_by_std=False).view(-1, size)
    torch.testing.assert_close(advantages.sum(dim=1), torch.zeros(len(rewards)), atol=1e-4, rtol=0)


@given(GROUPS, st.floats(-5, 5, width=32))
def test_shifting_all_rewards_of_a_group_changes_nothing(groups, shift):
    size, rewards = groups
    rewards = torch.tensor(rewards).flatten()
    moved = group_advantage(rewards + shift, size, scale_by_std=False)
    torch.testing.assert_close(moved, group_advantage(rewards, size, scale_by_std=False), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", [0.5, 3.0, 100.0])
def test_scaled_advantages_forget_the_unit_of_the_reward(scale):
    rewards = torch.tensor([0.1, 0.4, 0.9, 0.2])
    torch.testing.assert_close(group_advantage(rewards * scale, 4, eps=0.0), group_advantage(rewards, 4, eps=0.0))


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -0.7, 1e6])
@pytest.mark.parametrize("baseline", ["mean", "leave_one_out"])
@pytest.mark.parametrize("size", [3, 7])
def test_equal_rewards_have_exactly_no_advantage(value, baseline, size):
    assert (group_advantage(torch.full((size,), value), size, baseline=baseline) == 0).all()


def test_a_dead_group_leaves_its_neighbour_alone():
    advantages = group_advantage(torch.tensor([0.1, 0.1, 0.1, 0.0, 0.0, 3.0]), 3, scale_by_std=False)
    torch.testing.assert_close(advantages, torch.tensor([0.0, 0.0, 0.0, -1.0, -1.0, 2.0]))


@pytest.mark.parametrize("size", [1, 0])
def test_a_group_of_one_has_no_baseline(size):
    with pytest.raises(ValueError, match=f"at least 2 completions to have a baseline, but `group_size` is {size}"):
        group_advantage(torch.zeros(4), size)


def test_groups_divide_the_rewards():
    with pytest.raises(ValueError, match="Cannot split 5 rewards into groups of 2"):
        group_advantage(torch.zeros(5), 2)


def test_an_unknown_baseline_is_named():
    with pytest.raises(ValueError, match="Expected `baseline` to be one of .* but got 'rloo'"):
        group_advantage(torch.zeros(4), 2, baseline="rloo")
    with pytest.raises(ValueError, match="Expected `baseline` to be one of .* but got 'rloo'"):
        GroupAdvantage(baseline="rloo")


def test_a_negative_epsilon_is_refused_and_none_is_not():
    with pytest.raises(ValueError, match="Expected `eps` to be 0 or more, but got inf"):
        GroupAdvantage(eps=float("inf"))
    with pytest.raises(ValueError, match="Expected `eps` to be 0 or more, but got -0.1"):
        GroupAdvantage(eps=-0.1)
    assert GroupAdvantage(eps=0.0)(
        Scores({"a": torch.tensor([1.0, 3.0])}, {}, {"a": 1.0}, 2)
    ).tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])


def test_the_advantage_of_a_group_weighs_the_rewards():
    scores = Scores({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([4.0, 0.0])}, {}, {"a": 1.0, "b": 0.5}, 2)
    expected = group_advantage(torch.tensor([3.0, 3.0]), 2)
    assert torch.equal(GroupAdvantage()(scores), expected)

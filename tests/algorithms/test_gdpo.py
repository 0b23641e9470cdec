from __future__ import annotations

from statistics import mean, stdev

import pytest
import torch
from builders import make_scores

from vrft_pl.algorithms import GDPOAdvantage, GroupAdvantage, group_advantage


def by_paper(rewards, weights, size, eps):
    """Each reward in its group, the weighted sum, and that in its batch, with its mean; plain numbers."""
    count = len(next(iter(rewards.values())))
    total = [0.0] * count
    for name, values in rewards.items():
        for first in range(0, count, size):
            group = values[first : first + size]
            for i, value in enumerate(group):
                total[first + i] += weights[name] * (value - mean(group)) / (stdev(group) + eps)
    return [(value - mean(total)) / (stdev(total) + eps) for value in total]


def test_values_are_those_of_the_paper():
    g = torch.Generator().manual_seed(0)
    rewards = {"right": torch.rand(12, generator=g), "form": torch.rand(12, generator=g) * 100}
    weights = {"right": 1.0, "form": 0.3}
    expected = by_paper({name: values.tolist() for name, values in rewards.items()}, weights, 4, 1e-4)
    torch.testing.assert_close(GDPOAdvantage()(make_scores(4, weights, **rewards)), torch.tensor(expected))


def test_groups_that_add_up_alike_are_told_apart():
    """In the first group one of two is right, in the second one of two is right and well formed: the paper's case."""
    right, form = torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, 0.0])
    scores = make_scores(2, right=right, form=form)
    together = GroupAdvantage()(scores)
    torch.testing.assert_close(together[:2], together[2:], rtol=1e-3, atol=1e-3)
    apart = GDPOAdvantage()(scores)
    torch.testing.assert_close(apart[2] / apart[0], torch.tensor(2.0))


def test_the_unit_of_a_reward_does_not_matter():
    a, b = torch.rand(8), torch.rand(8)
    torch.testing.assert_close(
        GDPOAdvantage(eps=0.0)(make_scores(4, a=a, b=b)), GDPOAdvantage(eps=0.0)(make_scores(4, a=100 * a + 3, b=b))
    )


def test_of_one_reward_it_is_grpo_in_units_of_the_batch():
    a = torch.rand(8)
    grouped = group_advantage(a, 4)
    torch.testing.assert_close(GDPOAdvantage()(make_scores(4, a=a)), grouped / (grouped.std() + 1e-4))


def test_a_reward_without_weight_says_nothing():
    a = torch.rand(8)
    scores = make_scores(4, {"a": 1.0, "b": 0.0}, a=a, b=torch.rand(8))
    assert torch.equal(GDPOAdvantage()(scores), GDPOAdvantage()(make_scores(4, a=a)))


def test_a_dead_group_has_exactly_no_advantage():
    scores = make_scores(3, a=torch.tensor([0.1, 0.1, 0.1, 0.0, 0.3, 3.0]), b=torch.full((6,), 1 / 3))
    assert (GDPOAdvantage()(scores)[:3] == 0).all()


def test_a_negative_epsilon_is_refused():
    with pytest.raises(ValueError, match="Expected `eps` to be 0 or more, but got -0.1"):
        GDPOAdvantage(eps=-0.1)

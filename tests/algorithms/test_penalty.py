from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from builders import make_scores

from vrft_pl.algorithms import Advantage, GDPOAdvantage, GroupAdvantage, KLPenalty, group_advantage

REWARDS, DIVERGENCE = torch.tensor([1.0, 0.0, 3.0, 1.0]), torch.tensor([0.5, -0.2, 4.0, 1.0])
SCORES = replace(make_scores(2, {"a": 2.0}, a=REWARDS), divergence=DIVERGENCE)


def test_what_a_nat_costs_is_taken_off_before_rewards_are_compared():
    expected = group_advantage(2 * REWARDS - 0.1 * DIVERGENCE, 2, scale_by_std=False, baseline="leave_one_out")
    penalised = KLPenalty(0.1, GroupAdvantage(scale_by_std=False, baseline="leave_one_out"))
    torch.testing.assert_close(penalised(SCORES), expected)


def test_grpo_weighs_what_is_left_by_default():
    torch.testing.assert_close(KLPenalty(0.1)(SCORES), group_advantage(2 * REWARDS - 0.1 * DIVERGENCE, 2))


def test_the_divergence_is_one_of_several_rewards_where_each_is_normalised():
    as_reward = make_scores(2, {"a": 2.0, "KL": -0.1}, a=REWARDS, KL=DIVERGENCE)
    torch.testing.assert_close(KLPenalty(0.1, GDPOAdvantage())(SCORES), GDPOAdvantage()(as_reward))


def test_the_gradient_is_that_of_reward_less_divergence():
    """Over all that a policy of three words may write, by the logits."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.double, requires_grad=True)
    reference, rewards = torch.tensor([0.2, 0.2, 0.6], dtype=torch.double), torch.tensor([1.0, 0.0, 0.5])
    log_all = logits.log_softmax(dim=0)
    policy = log_all.exp()
    objective = (policy * (rewards - 0.3 * (log_all - reference.log()))).sum()
    (expected,) = torch.autograd.grad(objective, logits, retain_graph=True)

    class Itself(Advantage):
        def __call__(self, scores):
            return scores.total

    scores = replace(make_scores(3, a=rewards), divergence=(log_all - reference.log()).detach())
    surrogate = (policy.detach() * KLPenalty(0.3, Itself())(scores) * log_all).sum()
    torch.testing.assert_close(torch.autograd.grad(surrogate, logits)[0], expected)


def test_it_remembers_what_its_advantage_does():
    class Tired(GroupAdvantage):
        windows = 3

        def state_dict(self):
            return {"windows": self.windows}

        def load_state_dict(self, state):
            self.windows = state["windows"]

    resumed = KLPenalty(0.1, Tired())
    resumed.advantage.windows = 0
    resumed.load_state_dict(KLPenalty(0.1, Tired()).state_dict())
    assert resumed.advantage.windows == 3
    assert KLPenalty(0.1).state_dict() == {}
    KLPenalty(0.1).load_state_dict({})


@pytest.mark.parametrize("coefficient", [0.0, -0.1, float("inf"), float("nan")])
def test_a_coefficient_out_of_range_is_named(coefficient):
    with pytest.raises(ValueError, match=f"Expected `coefficient` to be above 0, but got {coefficient}"):
        KLPenalty(coefficient)

from __future__ import annotations

import pytest
import torch
from builders import gradient, lengths_mask, make_experience
from ranks import of_two

from vrft_pl.algorithms import CISPOLoss, GRPOLoss, SAPOLoss
from vrft_pl.algorithms.entropy import least_sure

MASK = lengths_mask([3, 2])
ENTROPY = torch.tensor([[0.1, 0.9, 0.5], [0.7, 0.3, 99.0]])


@pytest.mark.parametrize(
    ("share", "chosen"),
    [
        pytest.param(0.2, [[0, 1, 0], [0, 0, 0]], id="one-of-five"),
        pytest.param(0.21, [[0, 1, 0], [1, 0, 0]], id="rounded-up"),
        pytest.param(0.6, [[0, 1, 1], [1, 0, 0]], id="three-of-five"),
        pytest.param(1.0, [[1, 1, 1], [1, 1, 0]], id="all-and-no-padding"),
    ],
)
def test_the_least_sure_tokens_by_hand(share, chosen):
    assert torch.equal(least_sure(ENTROPY, MASK, share), torch.tensor(chosen, dtype=torch.bool))


def test_tokens_that_tie_with_the_last_one_are_chosen():
    assert least_sure(torch.ones(2, 3), MASK, 0.2).sum() == 5


def test_a_share_of_whole_tokens_is_not_rounded_up():
    assert least_sure(torch.rand(10, 10), torch.ones(10, 10, dtype=torch.bool), 0.07).sum() == 7


def test_without_a_token_none_is_chosen():
    assert not least_sure(ENTROPY, torch.zeros_like(MASK), 0.2).any()


def test_the_threshold_is_that_of_a_quantile():
    entropy = torch.rand(7, 30)
    expected = entropy >= entropy.flatten().quantile(0.8)
    assert torch.equal(least_sure(entropy, torch.ones_like(expected), 0.2), expected)


def test_two_ranks_choose_as_one():
    mask, entropy = lengths_mask([9, 4, 7, 2]), torch.rand(4, 9) + torch.tensor([[0.0], [0.0], [0.0], [0.5]])
    parts = [slice(0, 1), slice(1, 4)]
    apart = of_two([lambda part=part: least_sure(entropy[part], mask[part], 0.3) for part in parts])
    assert torch.equal(torch.cat(apart), least_sure(entropy, mask, 0.3))


@pytest.mark.parametrize("kind", [GRPOLoss, CISPOLoss, SAPOLoss])
@pytest.mark.parametrize("aggregation", ["sequence", "token", "constant"])
def test_only_chosen_tokens_are_trained_and_denominators_count_all(kind, aggregation):
    loss = kind(aggregation, entropy_share=0.4, max_tokens=3)
    assert loss.weighs_tokens
    chosen, logprobs = loss.token_weights(ENTROPY, MASK), torch.randn(2, 3)
    plain = make_experience(MASK, torch.tensor([2.0, -1.0]))
    gated = make_experience(MASK, torch.tensor([2.0, -1.0]), token_weights=chosen)
    torch.testing.assert_close(gradient(loss, logprobs, gated), gradient(loss, logprobs, plain) * chosen)


def test_the_divergence_holds_every_token():
    loss = GRPOLoss("token", kl_coefficient=0.5, entropy_share=0.4)
    logprobs, reference = torch.randn(2, 2, 3)
    experience = make_experience(
        MASK, torch.zeros(2), reference_logprobs=reference, token_weights=torch.zeros_like(MASK)
    )
    expected = 0.5 * (1 - (reference - logprobs).exp()) * MASK / 5
    torch.testing.assert_close(gradient(loss, logprobs, experience), expected)


def test_all_tokens_need_no_second_reading():
    assert not GRPOLoss().weighs_tokens
    assert GRPOLoss().token_weights(ENTROPY, MASK) is None


@pytest.mark.parametrize(
    ("aggregation", "weights"),
    [
        pytest.param("sequence", [[1 / 6, 1 / 6, 1 / 6], [1 / 4, 1 / 4, 0]], id="sequence"),
        pytest.param("token", [[1 / 5, 1 / 5, 1 / 5], [1 / 5, 1 / 5, 0]], id="token"),
        pytest.param("constant", [[1 / 8, 1 / 8, 1 / 8], [1 / 8, 1 / 8, 0]], id="constant"),
    ],
)
def test_entropy_is_raised_at_every_token(aggregation, weights):
    entropy = ENTROPY.clone().requires_grad_()
    experience = make_experience(MASK, torch.tensor([2.0, -1.0]), entropy=entropy, token_weights=torch.zeros_like(MASK))
    loss = GRPOLoss(aggregation, entropy_coefficient=0.1, max_tokens=4)
    output = loss(torch.randn(2, 3), experience)
    (slope,) = torch.autograd.grad(output.loss, entropy)
    torch.testing.assert_close(slope, -0.1 * torch.tensor(weights))
    torch.testing.assert_close(output.loss, -0.1 * (torch.tensor(weights) * ENTROPY).sum())


def test_a_group_without_advantage_has_entropy():
    assert GRPOLoss().skips_dead_groups
    assert not GRPOLoss(entropy_coefficient=0.01).skips_dead_groups


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"entropy_share": 0.0}, r"Expected `entropy_share` to be in \(0, 1\], but got 0.0", id="none"),
        pytest.param({"entropy_share": 1.2}, r"Expected `entropy_share` to be in \(0, 1\], but got 1.2", id="more"),
        pytest.param({"entropy_coefficient": -0.1}, "`entropy_coefficient` to be 0 or more, but got -0.1", id="bonus"),
    ],
)
def test_values_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GRPOLoss(**kwargs)

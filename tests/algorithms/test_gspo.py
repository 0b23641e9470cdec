from __future__ import annotations

from math import exp

import pytest
import torch
from builders import gradient, lengths_mask, make_experience

from vrft_pl.algorithms import GRPOLoss, GSPOLoss

LENGTHS, ADVANTAGES = [4, 1, 3, 2], [1.5, -0.7, -2.0, 0.4]


def step(scale, seed=0):
    g = torch.Generator().manual_seed(seed)
    mask, old = lengths_mask(LENGTHS), torch.randn(4, 4, generator=g)
    logprobs = old + scale * torch.randn(4, 4, generator=g)
    return logprobs, make_experience(mask, torch.tensor(ADVANTAGES), old_logprobs=old)


def by_paper(logprobs, old, low, high):
    """Eq. 5 with eq. 7, a completion at a time, and the gradient of eq. 10: all tokens of one have the same weight."""
    loss, slopes = 0.0, torch.zeros_like(logprobs)
    for i, (length, advantage) in enumerate(zip(LENGTHS, ADVANTAGES, strict=True)):
        ratio = exp(sum(float(logprobs[i, t] - old[i, t]) for t in range(length)) / length)
        clipped = min(max(ratio, 1 - low), 1 + high)
        loss -= min(ratio * advantage, clipped * advantage) / 4
        if ratio * advantage <= clipped * advantage:
            slopes[i, :length] = -ratio * advantage / length / 4
    return loss, slopes


@pytest.mark.parametrize("level", ["sequence", "token"])
@pytest.mark.parametrize(("scale", "clip"), [(1e-4, (3e-4, 4e-4)), (0.3, (0.1, 0.2)), (0.3, (3e-4, 4e-4))], ids=str)
def test_values_and_gradients_are_those_of_the_paper(level, scale, clip):
    logprobs, experience = step(scale)
    loss = GSPOLoss(clip_low=clip[0], clip_high=clip[1], level=level)
    value, slopes = by_paper(logprobs, experience.old_logprobs, *clip)
    assert float(loss(logprobs, experience).loss) == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(gradient(loss, logprobs, experience), slopes, rtol=1e-4, atol=1e-6)


def test_it_is_the_clipped_loss_of_a_sequence_ratio():
    logprobs, experience = step(0.1)
    plain = GRPOLoss(sequence_ratio=True, clip_low=3e-4, clip_high=4e-4)
    assert torch.equal(GSPOLoss()(logprobs, experience).loss, plain(logprobs, experience).loss)
    assert torch.equal(gradient(GSPOLoss(), logprobs, experience), gradient(plain, logprobs, experience))


def test_a_tokens_own_weight_reaches_others_at_the_level_of_sequences_alone():
    """The sampler knew the first token better than the policy did, and the second less."""
    mask = lengths_mask([2])
    sampled = torch.tensor([[0.5, 0.1]]).log()
    experience = make_experience(mask, torch.tensor([1.0]), sampled=sampled)
    logprobs = torch.tensor([[0.25, 0.2]]).log()
    whole, own = (GSPOLoss(level=level, importance_cap=9.0) for level in ("sequence", "token"))
    torch.testing.assert_close(gradient(whole, logprobs, experience), -torch.tensor([[1.25, 1.25]]) / 2)
    torch.testing.assert_close(gradient(own, logprobs, experience), -torch.tensor([[0.5, 2.0]]) / 2)


def test_an_unknown_level_is_named():
    with pytest.raises(ValueError, match="Expected `level` to be one of .* but got 'word'"):
        GSPOLoss(level="word")

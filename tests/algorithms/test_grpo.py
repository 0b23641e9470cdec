from __future__ import annotations

from math import exp

import pytest
import torch
from builders import gradient, lengths_mask, make_experience

from vrft_pl.algorithms import GRPOLoss


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "clipped"),
    [
        pytest.param(2.0, 1.0, -1.3, 1.0, id="good-token-already-raised-enough"),
        pytest.param(0.5, 1.0, -0.5, 0.0, id="good-token-lowered-is-not-clipped"),
        pytest.param(0.5, -1.0, 0.9, 1.0, id="bad-token-already-lowered-enough"),
        pytest.param(2.0, -1.0, 2.0, 0.0, id="bad-token-raised-is-not-clipped"),
        pytest.param(1.2, 1.0, -1.2, 0.0, id="the-upper-bound-is-clip-high"),
        pytest.param(0.8, -1.0, 0.9, 1.0, id="the-lower-bound-is-clip-low"),
        pytest.param(0.95, -1.0, 0.95, 0.0, id="bad-token-lowered-a-little-is-not-clipped"),
        pytest.param(0.5, 0.0, 0.0, 0.0, id="no-advantage"),
    ],
)
def test_clipping_by_hand(ratio, advantage, expected, clipped):
    mask = lengths_mask([1])
    experience = make_experience(mask, torch.tensor([advantage]), old_logprobs=torch.zeros(1, 1))
    logprobs = torch.tensor([[ratio]]).log().requires_grad_()
    output = GRPOLoss(clip_low=0.1, clip_high=0.3)(logprobs, experience)
    torch.testing.assert_close(output.loss, torch.tensor(expected))
    torch.testing.assert_close(output.stats["clip_fraction"], torch.tensor(clipped))
    output.loss.backward()
    torch.testing.assert_close(logprobs.grad, torch.tensor([[0.0 if clipped else -advantage * ratio]]))


def test_sequence_ratio_is_the_geometric_mean_over_the_tokens():
    difference = torch.tensor([[0.1, 0.3, 9.0], [0.0, 0.3, 0.6]])
    experience = make_experience(lengths_mask([2, 3]), torch.tensor([1.0, -2.0]), old_logprobs=torch.zeros(2, 3))
    loss = GRPOLoss(sequence_ratio=True, clip_low=1.0, clip_high=9.0)(difference, experience).loss
    torch.testing.assert_close(loss, torch.tensor(-(exp(0.2) - 2 * exp(0.3)) / 2))


def test_sequence_ratio_of_one_token_is_that_of_the_token():
    experience = make_experience(lengths_mask([1]), torch.tensor([1.0]), old_logprobs=torch.zeros(1, 1))
    loss = GRPOLoss(sequence_ratio=True, clip_high=9.0)(torch.tensor([[0.3]]), experience).loss
    torch.testing.assert_close(loss, torch.tensor(-exp(0.3)))


def test_sequence_ratio_is_clipped_as_one():
    difference = torch.tensor([[0.0, 0.8]])
    experience = make_experience(lengths_mask([2]), torch.tensor([1.0]), old_logprobs=torch.zeros(1, 2))
    output = GRPOLoss(sequence_ratio=True, clip_high=0.2)(difference, experience)
    torch.testing.assert_close(output.loss, torch.tensor(-1.2))
    torch.testing.assert_close(output.stats["clip_fraction"], torch.tensor(1.0))


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "clipped"),
    [
        pytest.param(2.9, -1.0, 2.9, 0.0, id="bad-token-raised-up-to-the-bound"),
        pytest.param(5.0, -1.0, 3.0, 1.0, id="bad-token-raised-beyond-the-bound"),
        pytest.param(5.0, -2.0, 6.0, 1.0, id="the-bound-is-of-the-ratio"),
        pytest.param(0.5, -1.0, 0.8, 1.0, id="bad-token-already-lowered-enough"),
        pytest.param(5.0, 1.0, -1.2, 1.0, id="good-token-is-bound-by-clip-high"),
        pytest.param(0.5, 1.0, -0.5, 0.0, id="good-token-lowered-is-not-clipped"),
    ],
)
def test_dual_clip_by_hand(ratio, advantage, expected, clipped):
    experience = make_experience(lengths_mask([1]), torch.tensor([advantage]), old_logprobs=torch.zeros(1, 1))
    logprobs = torch.tensor([[ratio]]).log()
    output = GRPOLoss(dual_clip=3.0)(logprobs, experience)
    torch.testing.assert_close(output.loss, torch.tensor(expected))
    torch.testing.assert_close(output.stats["clip_fraction"], torch.tensor(clipped))
    slope = 0.0 if clipped else -advantage * ratio
    torch.testing.assert_close(gradient(GRPOLoss(dual_clip=3.0), logprobs, experience), torch.tensor([[slope]]))


def objective(ratio, advantage, low, high, bound):
    """Dual-clip PPO as its paper writes it (eq. 5): max(min(r A, clip(r) A), c A) where A is negative."""
    surrogate = min(ratio * advantage, min(max(ratio, 1 - low), 1 + high) * advantage)
    return max(surrogate, bound * advantage) if advantage < 0 else surrogate


def test_values_are_those_of_the_papers_objective():
    g = torch.Generator().manual_seed(0)
    mask, advantages = lengths_mask([4, 1, 3]), torch.tensor([1.5, -0.7, -2.0])
    logprobs, old = torch.randn(2, 3, 4, generator=g)
    experience = make_experience(mask, advantages, old_logprobs=old)
    expected = 0.0
    for i, length in enumerate([4, 1, 3]):
        values = [
            objective(exp(logprobs[i, t] - old[i, t]), float(advantages[i]), 0.2, 0.28, 3.0) for t in range(length)
        ]
        expected -= sum(values) / length / 3
    loss = GRPOLoss(clip_high=0.28, dual_clip=3.0)(logprobs, experience).loss
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"clip_low": 0.0}, r"Expected `clip_low` to be in \(0, 1\], but got 0.0", id="clip-low-zero"),
        pytest.param({"clip_low": 1.5}, r"Expected `clip_low` to be in \(0, 1\], but got 1.5", id="clip-low-high"),
        pytest.param({"clip_high": 0.0}, "Expected `clip_high` to be above 0, but got 0.0", id="clip-high"),
        pytest.param({"clip_high": float("nan")}, "Expected `clip_high` to be above 0, but got nan", id="clip-nan"),
        pytest.param({"dual_clip": 1.2}, "Expected `dual_clip` to be above `1 \\+ clip_high`, but got 1.2", id="dual"),
    ],
)
def test_values_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GRPOLoss(**kwargs)

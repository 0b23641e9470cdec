"""Advantages in units of the whole batch, of all ranks, in place of the group."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from vrft_pl.algorithms.advantage import Advantage, check_eps, group_advantage
from vrft_pl.distributed import mean_over_ranks, world_size
from vrft_pl.types import Scores

BatchBaseline = Literal["mean", "leave_one_out", "batch"]
Spread = Literal["rewards", "advantages"]


class BatchAdvantage(Advantage):
    """Compares a completion with its group, and divides by a standard deviation of all that was sampled together.

    A question that is nearly always answered alike weighs less than with the deviation of its own group, which is small
    there (https://arxiv.org/abs/2508.08221).

    Args:
        baseline: The ``mean`` of the group, of the others in it (``leave_one_out``), or of the ``batch`` (REINFORCE++,
            https://arxiv.org/abs/2501.03262), where a group of equal rewards is taught as well.
        std_of: The deviation of the ``rewards`` (Lite PPO, https://arxiv.org/abs/2508.08221), or of the ``advantages``
            before it divides them (REINFORCE++-baseline).
        eps: Added to the standard deviation.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, baseline: BatchBaseline = "mean", std_of: Spread = "rewards", eps: float = 1e-4) -> None:
        if baseline not in get_args(BatchBaseline):
            raise ValueError(f"Expected `baseline` to be one of {get_args(BatchBaseline)}, but got {baseline!r}.")
        if std_of not in get_args(Spread):
            raise ValueError(f"Expected `std_of` to be one of {get_args(Spread)}, but got {std_of!r}.")
        check_eps(eps)
        self.baseline, self.std_of, self.eps = baseline, std_of, eps

    def __call__(self, scores: Scores) -> Tensor:
        """Shape ``(N,)``."""
        rewards = scores.total
        if self.baseline == "batch":
            advantages = rewards - batch_moments(rewards, scores.counted)[0]
        else:
            advantages = group_advantage(rewards, scores.group_size, scale_by_std=False, baseline=self.baseline)
        std = batch_moments(rewards if self.std_of == "rewards" else advantages, scores.counted)[1]
        return advantages / (std + self.eps)


def batch_moments(values: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and unbiased standard deviation of the values of all ranks, as if one had them all.

    Args:
        values: Those of this rank. Shape ``(N,)``.
        counted: Those of them that count; ``None`` for all. Shape ``(N,)``, bool.

    Returns:
        Two scalars.
    """
    own = (values if counted is None else values[counted]).double()
    count, total = mean_over_ranks(torch.stack([torch.ones_like(own).sum(), own.sum()]))
    mean = total / count.clamp(min=1e-9)
    squares = mean_over_ranks((own - mean).square().sum())
    std = (squares / (count - 1 / world_size()).clamp(min=1e-9)).sqrt()
    return mean.to(values.dtype), std.to(values.dtype)

"""From rewards to advantages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor

from vrft_pl.types import Scores

Baseline = Literal["mean", "leave_one_out"]


class Advantage(ABC):
    """How much better a completion is than what it is compared with."""

    needs_reference: bool = False
    """Whether it wants the scores to hold the `divergence` from the frozen reference."""

    def insist(self, bounds: Sequence[tuple[float, float]]) -> None:  # noqa: B027  # most weigh all
        """Refuse rewards that it can't weigh.

        Args:
            bounds: Least and greatest weighted score of each.

        Raises:
            ValueError: If there are such.
        """

    @abstractmethod
    def __call__(self, scores: Scores) -> Tensor:
        """Weigh the completions of a window. Every rank is asked at the same point, with its own completions.

        Returns:
            Shape ``(N,)``; a group in which all are 0 teaches nothing.
        """


class GroupAdvantage(Advantage):
    """Compares the weighted reward of each completion with its own group; see `group_advantage`.

    Args:
        scale_by_std: Divide by the group's standard deviation. ``False`` gives Dr. GRPO.
        baseline: The ``mean`` of the group, or of the others (``leave_one_out``, RLOO).
        eps: Added to the standard deviation.

    Raises:
        ValueError: If the baseline is unknown or ``eps`` is negative.
    """

    def __init__(self, scale_by_std: bool = True, baseline: Baseline = "mean", eps: float = 1e-4) -> None:
        check_baseline(baseline)
        check_eps(eps)
        self.scale_by_std, self.baseline, self.eps = scale_by_std, baseline, eps

    def __call__(self, scores: Scores) -> Tensor:
        """Shape ``(N,)``."""
        return group_advantage(scores.total, scores.group_size, self.scale_by_std, self.baseline, self.eps)


def group_advantage(
    rewards: Tensor, group_size: int, scale_by_std: bool = True, baseline: Baseline = "mean", eps: float = 1e-4
) -> Tensor:
    """Compare each reward with its own group, as in GRPO (https://arxiv.org/abs/2402.03300, sec. 4.1.2).

    Args:
        rewards: Rewards of shape ``(N,)``, completions of one prompt next to each other.
        group_size: ``G``, completions per prompt.
        scale_by_std: Divide by the group's standard deviation. ``False`` gives Dr. GRPO
            (https://arxiv.org/abs/2503.20783, sec. 3.1).
        baseline: ``mean`` of the group, or the mean of the *other* completions, as in RLOO
            (https://arxiv.org/abs/2402.14740, eq. 6); the latter is ``G / (G - 1)`` times the former.
        eps: Added to the standard deviation. A group of equal rewards gets advantage 0.

    Returns:
        Advantages of shape ``(N,)``.

    Raises:
        ValueError: If the group is too small or does not divide the rewards, or the baseline is unknown.

    Example:
        >>> import torch
        >>> group_advantage(torch.tensor([1.0, 0.0, 3.0, 3.0]), group_size=2, scale_by_std=False)
        tensor([ 0.5000, -0.5000,  0.0000,  0.0000])
    """
    check_group_size(group_size)
    check_baseline(baseline)
    if rewards.numel() % group_size:
        raise ValueError(f"Cannot split {rewards.numel()} rewards into groups of {group_size}.")
    rewards_PG = rewards.view(-1, group_size)
    advantages_PG = rewards_PG - rewards_PG.mean(dim=1, keepdim=True)
    # rounding in the mean would leave a trace of advantage in a group of equal rewards
    equal = (rewards_PG == rewards_PG[:, :1]).all(dim=1, keepdim=True)
    advantages_PG = advantages_PG.masked_fill(equal, 0.0)
    if baseline == "leave_one_out":
        advantages_PG = advantages_PG * (group_size / (group_size - 1))
    if scale_by_std:
        advantages_PG = advantages_PG / (rewards_PG.std(dim=1, keepdim=True) + eps)
    return advantages_PG.flatten()


def check_group_size(group_size: int) -> None:
    """Raise `ValueError` when a group has nothing to be compared with."""
    if group_size < 2:
        raise ValueError(f"A group needs at least 2 completions to have a baseline, but `group_size` is {group_size}.")


def check_eps(eps: float) -> None:
    """Raise `ValueError` for an addition to a standard deviation that is negative or not finite."""
    if not 0 <= eps < float("inf"):
        raise ValueError(f"Expected `eps` to be 0 or more, but got {eps}.")


def check_baseline(baseline: str) -> None:
    """Raise `ValueError` for a baseline that there is not."""
    if baseline not in get_args(Baseline):
        raise ValueError(f"Expected `baseline` to be one of {get_args(Baseline)}, but got {baseline!r}.")

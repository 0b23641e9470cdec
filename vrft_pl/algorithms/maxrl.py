"""Maximum likelihood in place of the mean reward: the rarer success is, the more it counts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vrft_pl.algorithms.advantage import Advantage, check_group_size
from vrft_pl.types import InputError, Scores


class MaxRLAdvantage(Advantage):
    """How many times the mean of its group a reward is, less one (https://arxiv.org/abs/2602.02710).

    For rewards of 0 and 1, where the mean is the share of successes. What is ascended is then the sum over k below G of
    ``-(1 - p)^k / k`` for the chance ``p`` of success, of which the mean reward is the first term and the logarithm of
    ``p`` the limit. A group without success has advantage 0, and no advantage exceeds ``G - 1``.
    """

    def insist(self, bounds: Sequence[tuple[float, float]]) -> None:
        """Refuse rewards that may be negative; those of no declared bounds are found out when they are."""
        if any(-float("inf") < low < 0 for low, _ in bounds):
            raise ValueError(
                "Expected rewards of 0 or more with MaxRLAdvantage, but one of them may be less. Use GroupAdvantage."
            )

    def __call__(self, scores: Scores) -> Tensor:
        """Shape ``(N,)``.

        Raises:
            InputError: If a reward is negative.
        """
        check_group_size(scores.group_size)
        rewards_PG = scores.total.view(-1, scores.group_size)
        if (rewards_PG < 0).any():
            raise InputError(
                f"Expected rewards of 0 or more with MaxRLAdvantage, but got {float(rewards_PG.min()):g}. Use "
                "GroupAdvantage."
            )
        mean_P1 = rewards_PG.mean(dim=1, keepdim=True)
        # rounding in the mean would leave a trace of advantage in a group of equal rewards
        dead_P1 = (rewards_PG == rewards_PG[:, :1]).all(dim=1, keepdim=True)
        return ((rewards_PG - mean_P1) / mean_P1).masked_fill(dead_P1, 0.0).flatten()

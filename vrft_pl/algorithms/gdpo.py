"""Several rewards, each in units of its own spread."""

from __future__ import annotations

import torch
from torch import Tensor

from vrft_pl.algorithms.advantage import Advantage, check_eps, group_advantage
from vrft_pl.algorithms.batch import batch_moments
from vrft_pl.types import Scores


class GDPOAdvantage(Advantage):
    """Normalises each reward within its group, and then their weighted sum within the batch of all ranks.

    With the sum alone, as in GRPO, groups whose rewards add up alike look alike, whichever reward it was; here a rare
    one counts as much as a common one (https://arxiv.org/abs/2601.05242). Weights are of normalised rewards:
    what unit a reward has does not matter. The batch's mean is 0 already, and is not subtracted.

    Args:
        eps: Added to each standard deviation.

    Raises:
        ValueError: If ``eps`` is negative.
    """

    def __init__(self, eps: float = 1e-4) -> None:
        check_eps(eps)
        self.eps = eps

    def __call__(self, scores: Scores) -> Tensor:
        """Shape ``(N,)``."""
        weighted = [
            weight * group_advantage(scores.by_reward[name], scores.group_size, eps=self.eps)
            for name, weight in scores.weights.items()
        ]
        advantages = torch.stack(weighted).sum(dim=0)
        return advantages / (batch_moments(advantages, scores.counted)[1] + self.eps)

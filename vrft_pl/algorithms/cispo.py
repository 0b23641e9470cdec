"""Clipped importance sampling: the weight is clipped, and no token loses its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vrft_pl.algorithms.surrogate import Aggregation, SurrogateLoss, TokenLoss, mean_over


class CISPOLoss(SurrogateLoss):
    """REINFORCE weighed by the capped ratio to the policy that sampled (MiniMax-M1, https://arxiv.org/abs/2506.13585).

    Eq. 4 and 5, without a lower bound of the ratio as in the paper's experiments. The value is that of weighed
    log-probs, and says nothing; its gradient is what trains.

    Args:
        aggregation: Of all tokens in the paper; see `SurrogateLoss`.
        cap: Most that a ratio weighs, ``1 + epsilon_high`` of the paper, which tunes it and does not print it. 5 lies
            within the 4 to 8 that ScaleRL (https://arxiv.org/abs/2510.13786) tried and found alike.
        **kwargs: Those of `SurrogateLoss`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, aggregation: Aggregation = "token", cap: float = 5.0, **kwargs: Any) -> None:
        super().__init__(aggregation, **kwargs)
        if not cap >= 1:
            raise ValueError(f"Expected `cap` to be 1 or more, but got {cap}.")
        self.cap = cap

    def surrogate(self, logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> TokenLoss:
        """Log-probs times the advantage and the weight, which has no gradient; see `SurrogateLoss`."""
        with torch.no_grad():
            ratio = (logprobs - old).exp()
            capped = (ratio > self.cap) & (advantages != 0)
        values = -ratio.clamp(max=self.cap) * advantages * logprobs
        return TokenLoss(values, {"clip_fraction": mean_over(capped.float(), mask)})

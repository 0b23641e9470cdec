"""The clipped surrogate of GRPO."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vrft_pl.algorithms.surrogate import Aggregation, SurrogateLoss, TokenLoss, mean_over


class GRPOLoss(SurrogateLoss):
    """Clipped policy-gradient loss (https://arxiv.org/abs/2402.03300, eq. 3), with a choice of relatives.

    Args:
        aggregation: See `SurrogateLoss`.
        clip_low: The ratio is clipped at ``1 - clip_low``.
        clip_high: The ratio is clipped at ``1 + clip_high`` (DAPO's clip-higher uses 0.28).
        sequence_ratio: Use one ratio per completion, the geometric mean over its tokens (GSPO,
            https://arxiv.org/abs/2507.18071, eq. 7). Its clip range is far narrower; `GSPOLoss` has it.
        dual_clip: Most that the ratio of a token with a negative advantage counts; above it there is no gradient
            (dual-clip PPO, https://arxiv.org/abs/1912.09729, eq. 5, where it is 3). ``None`` for no bound.
        **kwargs: Those of `SurrogateLoss`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        aggregation: Aggregation = "sequence",
        clip_low: float = 0.2,
        clip_high: float = 0.2,
        sequence_ratio: bool = False,
        dual_clip: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(aggregation, **kwargs)
        if not 0 < clip_low <= 1:
            raise ValueError(f"Expected `clip_low` to be in (0, 1], but got {clip_low}.")
        if not clip_high > 0:
            raise ValueError(f"Expected `clip_high` to be above 0, but got {clip_high}.")
        if dual_clip is not None and not dual_clip > 1 + clip_high:
            raise ValueError(f"Expected `dual_clip` to be above `1 + clip_high`, but got {dual_clip}.")
        self.clip_low, self.clip_high = clip_low, clip_high
        self.sequence_ratio, self.dual_clip = sequence_ratio, dual_clip

    def surrogate(self, logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> TokenLoss:
        """The worse of the ratio and the clipped ratio, times the advantage; see `SurrogateLoss`."""
        ratio = self.ratio(logprobs - old, mask)
        clipped = ratio.clamp(1 - self.clip_low, 1 + self.clip_high)
        values = -torch.minimum(ratio * advantages, clipped * advantages)
        with torch.no_grad():
            binding = torch.where(advantages > 0, ratio > 1 + self.clip_high, ratio < 1 - self.clip_low)
        if self.dual_clip is not None:
            bound = -self.dual_clip * advantages
            values = torch.where(advantages < 0, torch.minimum(values, bound), values)
            binding = binding | ((advantages < 0) & (ratio.detach() > self.dual_clip))
        return TokenLoss(values, {"clip_fraction": mean_over((binding & (advantages != 0)).float(), mask)})

    def ratio(self, difference: Tensor, mask: Tensor) -> Tensor:
        """Policy over old policy, at each token or one a completion.

        Args:
            difference: Of their log-probs; 0 where the mask is False. Shape ``(N, T)``.
            mask: Shape ``(N, T)``, bool.

        Returns:
            Shape ``(N, T)``.
        """
        if self.sequence_ratio:
            lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
            difference = (difference.sum(dim=1, keepdim=True) / lengths).expand_as(difference)
        return difference.exp()

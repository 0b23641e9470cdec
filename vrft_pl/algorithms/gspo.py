"""Group sequence policy optimization: one ratio a completion."""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import Tensor

from vrft_pl.algorithms.grpo import GRPOLoss
from vrft_pl.algorithms.surrogate import Aggregation

Level = Literal["sequence", "token"]


class GSPOLoss(GRPOLoss):
    """Clipped loss of the completion's ratio, the geometric mean over its tokens (https://arxiv.org/abs/2507.18071).

    Args:
        aggregation: See `SurrogateLoss`.
        clip_low: As in the paper's experiments (sec. 5.1), a thousandth of what clips tokens.
        clip_high: Likewise.
        level: ``sequence`` is GSPO (eq. 5); ``token`` GSPO-token (eq. 13), where what a token is worth moves that token
            alone. The two are equal in value, and in gradient where all tokens of a completion count alike: not with
            an ``importance_cap``, nor with `token_weights`.
        **kwargs: Those of `GRPOLoss`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        aggregation: Aggregation = "sequence",
        clip_low: float = 3e-4,
        clip_high: float = 4e-4,
        level: Level = "sequence",
        **kwargs: Any,
    ) -> None:
        super().__init__(aggregation, clip_low, clip_high, sequence_ratio=True, **kwargs)
        if level not in get_args(Level):
            raise ValueError(f"Expected `level` to be one of {get_args(Level)}, but got {level!r}.")
        self.level = level

    def ratio(self, difference: Tensor, mask: Tensor) -> Tensor:
        """That of the completion at each of its tokens; see `GRPOLoss`."""
        ratio = super().ratio(difference, mask)
        return ratio if self.level == "sequence" else ratio.detach() * (difference - difference.detach()).exp()

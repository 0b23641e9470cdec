"""Soft adaptive policy optimization: a gate that closes smoothly where clipping cuts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vrft_pl.algorithms.surrogate import Aggregation, SurrogateLoss, TokenLoss, mean_over


class SAPOLoss(SurrogateLoss):
    """The ratio behind a sigmoid, ``4 / t * sigmoid(t * (ratio - 1))`` (https://arxiv.org/abs/2511.20347).

    Its gradient is that of the ratio at 1, and fades on either side, the faster the higher the temperature ``t``. The
    statistic ``gate`` is how open it stands, from 0 to 1, on average.

    Args:
        aggregation: Of sequences in the paper; see `SurrogateLoss`.
        temperature_positive: ``t`` of tokens with a positive advantage.
        temperature_negative: ``t`` of the others, higher in the paper: raising all other tokens of the vocabulary is
            what makes training unstable.
        **kwargs: Those of `SurrogateLoss`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        aggregation: Aggregation = "sequence",
        temperature_positive: float = 1.0,
        temperature_negative: float = 1.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(aggregation, **kwargs)
        temperatures = {"temperature_positive": temperature_positive, "temperature_negative": temperature_negative}
        for name, value in temperatures.items():
            if not 0 < value < float("inf"):
                raise ValueError(f"Expected `{name}` to be above 0, but got {value}.")
        self.temperature_positive, self.temperature_negative = temperature_positive, temperature_negative

    def surrogate(self, logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> TokenLoss:
        """The gated ratio times the advantage; see `SurrogateLoss`."""
        temperature = torch.where(advantages > 0, self.temperature_positive, self.temperature_negative)
        opened = torch.sigmoid(temperature * ((logprobs - old).exp() - 1))
        gate = 4 * opened.detach() * (1 - opened.detach())
        return TokenLoss(-4 / temperature * opened * advantages, {"gate": mean_over(gate, mask)})

"""The divergence from the reference as a part of the reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from vrft_pl.algorithms.advantage import Advantage, GroupAdvantage
from vrft_pl.types import Scores

DIVERGENCE = "KL"


class KLPenalty(Advantage):
    """Takes the divergence from the reference off the reward before an advantage weighs it, as RLOO and REINFORCE++ do.

    What is taken off is k1 of the completion, the sum over its tokens of ``log policy - log reference``: with a policy
    gradient its gradient is unbiased (https://arxiv.org/abs/2512.21852), where k1 or k3 as a term of the loss are not.
    It has a weight below 0 and the name ``KL`` among the rewards, so that `GDPOAdvantage` normalises it as one of them.
    The rewards that are logged do not hold it.

    Args:
        coefficient: What a nat costs.
        advantage: Weighs what is left. Defaults to `GroupAdvantage`.

    Raises:
        ValueError: If the coefficient is not positive.
    """

    needs_reference = True

    def __init__(self, coefficient: float, advantage: Advantage | None = None) -> None:
        if not 0 < coefficient < float("inf"):
            raise ValueError(f"Expected `coefficient` to be above 0, but got {coefficient}.")
        self.coefficient, self.advantage = coefficient, advantage or GroupAdvantage()

    def insist(self, bounds: Sequence[tuple[float, float]]) -> None:
        """Let the advantage refuse rewards, of which the penalty is one that is negative."""
        self.advantage.insist([*bounds, (-self.coefficient, 0.0)])

    def state_dict(self) -> dict[str, Any]:
        """What the advantage remembers, if it does."""
        return self.advantage.state_dict() if hasattr(self.advantage, "state_dict") else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the advantage go on from there."""
        if state_dict:
            self.advantage.load_state_dict(state_dict)  # type: ignore[attr-defined]  # it has what it wrote

    def __call__(self, scores: Scores) -> Tensor:
        """Shape ``(N,)``."""
        assert scores.divergence is not None, "the collector computes it"
        by_reward = {**scores.by_reward, DIVERGENCE: scores.divergence}
        weights = {**scores.weights, DIVERGENCE: -self.coefficient}
        return self.advantage(replace(scores, by_reward=by_reward, weights=weights))

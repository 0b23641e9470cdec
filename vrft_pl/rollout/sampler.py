"""What every engine that writes completions agrees on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from lightning.pytorch.strategies import Strategy

from vrft_pl.distributed import shards_weights
from vrft_pl.policy import VLM
from vrft_pl.types import Completions, Prompts


@dataclass(frozen=True)
class SamplingParams:
    """How completions are drawn.

    Args:
        max_tokens: Most tokens of a completion, the end token included.
        temperature: Of the softmax; 0 takes the likeliest token.
        top_k: Keep the ``top_k`` likeliest tokens only; 0 keeps all.
        top_p: Keep the smallest set of likeliest tokens whose probabilities sum to ``top_p``.

    Raises:
        ValueError: If an argument is out of its range.
    """

    max_tokens: int = 512
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.max_tokens < 1:
            raise ValueError(f"Expected `max_tokens` to be at least 1 token, but got {self.max_tokens}.")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"Expected `temperature` to be 0 or more, but got {self.temperature}.")
        if self.top_k < 0:
            raise ValueError(f"Expected `top_k` to be 0 or more, but got {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"Expected `top_p` to be in (0, 1], but got {self.top_p}.")

    @property
    def truncates(self) -> bool:
        """Whether some tokens can't be drawn although the policy gives them probability."""
        return self.top_k > 0 or self.top_p < 1


class Sampler(ABC):
    """An engine that writes completions.

    Implementations never emit a token of ``policy.banned_token_ids``, leave the policy in the mode they found it in,
    and draw all randomness of a group from the seed of its prompt, which gets the same completions whatever stands
    beside it.
    """

    exact: bool = True
    """Whether log-probs are those of the policy that is trained, up to rounding."""
    holds_weights: bool = False
    """Whether it has weights of its own, and so can sample while those of the policy change."""

    def supports(self, strategy: Strategy | str) -> bool:
        """Whether it can sample from a policy that a strategy of Lightning, by name or built, trains.

        Unless it says otherwise, each device has to have whole weights.
        """
        return not shards_weights(strategy)

    def settle(self, policy: VLM) -> None:  # noqa: B027  # optional
        """Decide what is to be decided before it samples; all ranks of a distributed run do so at the same point.

        Raises:
            InputError: If it can't sample from this policy.
        """

    def update(self, policy: VLM, step: int) -> None:  # noqa: B027  # optional
        """Take the policy's weights of this optimizer step; nothing to do for an engine that decodes with them."""

    def close(self) -> None:  # noqa: B027  # optional
        """Give up what the engine holds."""

    @abstractmethod
    def generate(
        self, policy: VLM, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int]
    ) -> Completions:
        """Write ``group_size`` completions to each prompt.

        Args:
            policy: The policy. An engine with weights of its own uses it for tokens and text only.
            prompts: ``P`` encoded prompts.
            group_size: ``G``.
            params: How tokens are drawn.
            seeds: Source of randomness, one a prompt (`vrft_pl.rollout.seeds`).

        Returns:
            ``P * G`` completions, those of one prompt beside each other, with log-probs under the distribution they
            were drawn from.
        """

"""What a policy is trained on: the border that every loss stands behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from vrft_pl.types import Completions, Experience


class LossOutput(NamedTuple):
    """A loss and what is logged beside it."""

    loss: Tensor
    """Scalar with a graph."""
    stats: dict[str, Tensor]
    """Scalars without a graph, means over the tokens of this micro-batch."""


class Loss(ABC):
    """What a policy is trained on, given the log-probs of a micro-batch."""

    needs_reference: bool = False
    """Whether it compares with the frozen reference, which is then computed for every window."""
    corrects_sampler: bool = False
    """Whether it allows for a sampler that draws from another distribution than the policy's."""
    skips_dead_groups: bool = True
    """Whether a group without advantage has no gradient, and so needs no forward pass."""
    weighs_tokens: bool = False
    """Whether it has `token_weights`, for which the policy that sampled reads each window once more."""

    def token_mask(self, completions: Completions) -> Tensor:
        """Tokens that enter the loss and its denominators. Shape ``(N, T)``, bool."""
        return completions.mask

    def token_weights(self, entropy: Tensor, mask: Tensor) -> Tensor | None:
        """How much each token of a window counts; denominators count it as 1 whatever it is.

        Every rank is asked at the same point, so that ranks may tell each other of their tokens.

        Args:
            entropy: Of the policy that sampled, at each token, in nats. Shape ``(N, T)``.
            mask: Tokens that enter the loss. Shape ``(N, T)``, bool.

        Returns:
            Shape ``(N, T)``; ``None`` where all count 1.
        """
        return None

    @abstractmethod
    def __call__(self, logprobs: Tensor, experience: Experience) -> LossOutput:
        """Compute the loss of one micro-batch.

        Args:
            logprobs: Of the completion tokens under the policy that is trained. Shape ``(N, T)``.
            experience: The micro-batch, with the denominators of its optimizer step.

        Returns:
            The loss, scaled so that its mean over the micro-batches of a step and over ranks is the loss of the step.
        """

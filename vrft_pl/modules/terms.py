"""Terms beside the loss that make passes of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod

from vrft_pl.algorithms import LossOutput
from vrft_pl.policy import VLM
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.types import Experience


class Term(ABC):
    """What is added to the loss of a micro-batch.

    It has a gradient in every group, so that none is left out, and may be asked twice of the same micro-batch, of
    which it has to say the same.
    """

    @abstractmethod
    def __call__(self, policy: VLM, experience: Experience, own: TokenLogprobs, temperature: float) -> LossOutput:
        """Compute the term.

        Args:
            policy: The policy that is trained.
            experience: The micro-batch, with the denominators of its optimizer step.
            own: What the policy thinks of the completions, with a graph; each of shape ``(N, T)``.
            temperature: Of the sampling distribution.

        Returns:
            Scaled as a `Loss`, and named apart from what others log.
        """

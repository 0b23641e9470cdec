"""The one path on which a policy writes: in training, in evaluation and in prediction."""

from __future__ import annotations

from collections.abc import Sequence

from vrft_pl.policy import VLM
from vrft_pl.policy.cost import Cost, cost_of_writing
from vrft_pl.rollout.sampler import Sampler, SamplingParams
from vrft_pl.types import Completions, Prompts, Sample


class Writer:
    """Lets a policy write by an engine, which it hands new weights before it asks.

    Args:
        policy: The policy.
        sampler: The engine.

    Attributes:
        spent: What everything took that it wrote so far, seconds left out.
    """

    def __init__(self, policy: VLM, sampler: Sampler) -> None:
        self.policy, self.sampler = policy, sampler
        self.spent = Cost()
        self._step: int | None = None

    def encode(self, samples: Sequence[Sample]) -> Prompts:
        """Encode samples; what a frozen vision tower sees in their pictures is computed here, once."""
        return self.policy.look(self.policy.encode(samples))

    def write(
        self, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int], step: int
    ) -> Completions:
        """Write ``group_size`` completions to each prompt, with the weights of this optimizer step; a seed a prompt."""
        if step != self._step:
            self.sampler.update(self.policy, step)
            self._step = step
        completions = self.sampler.generate(self.policy, prompts, group_size, params, seeds)
        self.spent += cost_of_writing(self.policy, prompts, completions.mask)
        return completions

"""The one path on which a policy writes: in training, in evaluation and in prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import cache
from threading import Thread

from torch import Tensor

from vrft_pl.policy import VLM
from vrft_pl.policy.cost import Cost, cost_of_reading, cost_of_writing
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
        self._ahead: Future[Completions] | None = None

    def encode(self, samples: Sequence[Sample]) -> Prompts:
        """Encode samples; what a frozen vision tower sees in their pictures is computed here, once."""
        return self.policy.look(self.policy.encode(samples))

    def write(
        self, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int], step: int
    ) -> Completions:
        """Write ``group_size`` completions to each prompt, with the weights of this optimizer step; a seed a prompt."""
        self._hand_weights(step)
        return self._counted(prompts, self.sampler.generate(self.policy, prompts, group_size, params, seeds))

    def write_ahead(
        self, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int], step: int
    ) -> Callable[[], Completions]:
        """Begin to write as `write` does, while the caller goes on; for an engine with weights of its own.

        Returns:
            What waits for the completions.
        """
        self._hand_weights(step)
        ahead: Future[Completions] = Future()

        def generate() -> None:
            try:
                ahead.set_result(self.sampler.generate(self.policy, prompts, group_size, params, seeds))
            except BaseException as error:  # raised where it is waited for
                ahead.set_exception(error)

        # a daemon: a run that ends by an error does not wait for what nobody will read
        Thread(target=generate, name="rollout ahead", daemon=True).start()
        self._ahead = ahead
        return cache(lambda: self._counted(prompts, ahead.result()))

    def _hand_weights(self, step: int) -> None:
        """Hand the engine the weights of a step, but not while it writes with those of another."""
        if step == self._step:
            return
        if self._ahead is not None:
            wait([self._ahead])
        self.sampler.update(self.policy, step)
        self._step = step

    def count_reading(self, prompts: Prompts, mask: Tensor, times: int) -> None:
        """Count passes that score what was written; see `cost_of_reading`."""
        if times:
            self.spent += cost_of_reading(self.policy, prompts, mask, times)

    def _counted(self, prompts: Prompts, completions: Completions) -> Completions:
        self.spent += cost_of_writing(self.policy, prompts, completions.mask)
        return completions

"""The left half of GRPO: sample, score, freeze, weigh."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from vrft_pl.distributed import whole
from vrft_pl.policy.reference import Reference
from vrft_pl.rollout.freezing import frozen_logprobs
from vrft_pl.rollout.hooks import Hooks
from vrft_pl.rollout.sampler import SamplingParams
from vrft_pl.rollout.scoring import Grader, beside, score
from vrft_pl.rollout.seeds import prompt_seeds
from vrft_pl.rollout.writing import Writer
from vrft_pl.types import Completions, Experience, Sample, Scores


class Collector:
    """Turns prompts into experience; knows of training only what its hooks tell it.

    Args:
        writer: The policy and the engine that writes for it.
        rewards: What completions are worth.
        advantage: From scores to the advantage of each completion, of shape ``(N,)``.
        reference: The frozen policy that the loss compares with; ``None`` where it compares with none.
        group_size: ``G``, completions per prompt.
        params: How completions are drawn.
        seed: Of all randomness of the engine.
        token_mask: Tokens that enter the loss, of shape ``(N, T)``. Defaults to all of a completion.
        hooks: What surrounds it.
    """

    def __init__(
        self,
        writer: Writer,
        rewards: Sequence[Grader],
        advantage: Callable[[Scores], Tensor],
        reference: Reference | None,
        group_size: int,
        params: SamplingParams,
        seed: int,
        token_mask: Callable[[Completions], Tensor] = lambda completions: completions.mask,
        hooks: Hooks = Hooks(),  # noqa: B008  # frozen
    ) -> None:
        self.writer, self.rewards, self.advantage, self.reference = writer, rewards, advantage, reference
        self.group_size, self.params, self.seed = group_size, params, seed
        self.token_mask, self.hooks = token_mask, hooks

    def __call__(self, batches: list[list[Sample]], reused: bool) -> Experience:
        """Collect the experience of one window.

        Args:
            batches: The prompts of the window, by micro-batch.
            reused: Whether the policy will have changed before the last micro-batch is trained on.
        """
        self.hooks.on_start()
        samples = [sample for batch in batches for sample in batch]
        sizes, seconds, step = [len(batch) for batch in batches], dict[str, float](), self.hooks.step()
        policy, temperature = self.writer.policy, self.params.temperature
        with self.hooks.forward_context():
            with self._timed("rollout", seconds), whole(policy):
                prompts = self.writer.encode(samples)
                seeds = prompt_seeds(samples, self.seed, step)
                completions = self.writer.write(prompts, self.group_size, self.params, seeds, step)
            passes = reused or self.reference is not None
            with beside(self._score, samples, completions, step, seconds, when=passes) as scoring:
                with self._timed("reference", seconds):
                    freeze = partial(frozen_logprobs, prompts, completions, sizes, temperature)
                    old = freeze(policy.evaluating()) if reused else None
                    reference = freeze(self.reference.model()) if self.reference is not None else None
                scores = scoring.result()
        experience = Experience(
            samples=tuple(samples),
            prompts=prompts,
            completions=completions,
            scores=scores.by_reward,
            parse_failures=scores.parse_failures,
            rewards=scores.total,
            advantages=self.advantage(scores),
            loss_mask=self.token_mask(completions),
            old_logprobs=old,
            reference_logprobs=reference,
            max_tokens=self.params.max_tokens,
            seconds=seconds,
        )
        return self.hooks.on_end(experience)

    def _score(self, samples: list[Sample], completions: Completions, step: int, seconds: dict[str, float]) -> Scores:
        start = time.perf_counter()
        scores = score(self.rewards, samples, completions, step)
        seconds["reward"] = time.perf_counter() - start  # the device is not waited for: others use it meanwhile
        return scores

    @contextmanager
    def _timed(self, phase: str, seconds: dict[str, float]) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if (device := self.writer.policy.device).type == "cuda":
            torch.cuda.synchronize(device)
        seconds[phase] = time.perf_counter() - start

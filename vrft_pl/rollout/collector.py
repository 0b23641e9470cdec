"""The left half of GRPO: sample, score, freeze, weigh."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vrft_pl.axes import kept
from vrft_pl.distributed import whole
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.reference import Reference
from vrft_pl.rollout.freezing import frozen_logprobs
from vrft_pl.rollout.hooks import Hooks
from vrft_pl.rollout.sampler import SamplingParams
from vrft_pl.rollout.scoring import Grader, beside, score
from vrft_pl.rollout.seeds import prompt_seeds
from vrft_pl.rollout.state import restore_completions
from vrft_pl.rollout.writing import Writer
from vrft_pl.types import Completions, Experience, Prompts, Sample, Scores


@dataclass(frozen=True)
class Begun:
    """A window that an engine samples while the one before it is trained on."""

    prompts: Prompts
    """Length ``P``."""
    completions: Callable[[], Completions]
    """Waits for ``N`` completions."""

    def written(self) -> tuple[Prompts, Completions]:
        """Wait for the completions."""
        return self.prompts, self.completions()

    def state(self) -> dict[str, Any]:
        """The completions as plain values for a checkpoint, which waits for them."""
        return kept(self.completions())


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
        ratio_to_sampler: Whether a window that was sampled ahead is trained on with ratios to the sampler's own
            log-probs. Otherwise the loss has to weigh it.
        token_weights: From entropy and mask, each of shape ``(N, T)``, to how much each token counts. ``None`` weighs
            none, and needs no pass of the policy.
        divergence: Whether the advantage is told how far completions are from the reference.
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
        ratio_to_sampler: bool = True,
        token_weights: Callable[[Tensor, Tensor], Tensor | None] | None = None,
        divergence: bool = False,
    ) -> None:
        self.writer, self.rewards, self.advantage, self.reference = writer, rewards, advantage, reference
        self.group_size, self.params, self.seed = group_size, params, seed
        self.token_mask, self.hooks, self.ratio_to_sampler = token_mask, hooks, ratio_to_sampler
        self.token_weights, self.divergence = token_weights, divergence

    def begin(self, batches: list[list[Sample]]) -> Begun:
        """Begin to sample a window that will be trained on after the one in work.

        Args:
            batches: The prompts of the window, by micro-batch.
        """
        self.hooks.on_start()
        samples, step = [sample for batch in batches for sample in batch], self.hooks.step()
        seeds = prompt_seeds(samples, self.seed, step)
        with self.hooks.forward_context(), whole(self.writer.policy):
            prompts = self.writer.encode(samples)
            return Begun(prompts, self.writer.write_ahead(prompts, self.group_size, self.params, seeds, step))

    def resume(self, batches: list[list[Sample]], state: dict[str, Any]) -> Begun:
        """A window that a run had begun to sample before it stopped.

        Args:
            batches: The prompts of the window, read again, by micro-batch.
            state: Of `Begun`.
        """
        with self.hooks.forward_context(), whole(self.writer.policy):
            prompts = self.writer.encode([sample for batch in batches for sample in batch])
        completions = restore_completions(state, prompts).to(self.writer.policy.device)
        return Begun(prompts, lambda: completions)

    def __call__(
        self, batches: list[list[Sample]], reused: bool, begun: Begun | None = None, filler: bool = False
    ) -> Experience:
        """Collect the experience of one window.

        Args:
            batches: The prompts of the window, by micro-batch.
            reused: Whether the policy will have changed before the last micro-batch is trained on.
            begun: The window as it was sampled by the policy before; ``None`` samples it now.
            filler: Whether the last micro-batch only keeps other ranks company.
        """
        if begun is None:
            self.hooks.on_start()
        return self.hooks.on_end(self.groups(batches, reused, begun, filler=filler))

    def groups(
        self,
        batches: list[list[Sample]],
        reused: bool,
        begun: Begun | None = None,
        key: Sequence[int | str] = (),
        filler: bool = False,
    ) -> Experience:
        """Collect experience that no hook is told of, such as what a hook itself asks for.

        Args:
            batches: See above, as the rest.
            reused: Likewise.
            begun: Likewise.
            key: What tells its draws from those of the same prompts at the same step.
            filler: See above.
        """
        samples = [sample for batch in batches for sample in batch]
        seconds, step = dict[str, float](), self.hooks.step()
        to_sampler = begun is not None and self.ratio_to_sampler
        with self.hooks.forward_context():
            with self._timed("rollout", seconds):
                prompts, completions = self._written(samples, step, key) if begun is None else begun.written()
            freeze = reused and not to_sampler
            scores, own, reference = self._judged(batches, prompts, completions, freeze, step, seconds)
        loss_mask = self.token_mask(completions)
        if filler:
            counted = all_but_last(len(batches[-1]) * self.group_size, loss_mask)
            loss_mask, scores = loss_mask & counted[:, None], replace(scores, counted=counted)
        scores = self._with_divergence(scores, completions, own, reference)
        frozen = own.logprobs if reused and own is not None else None
        weights = self.token_weights(own.entropy, loss_mask) if self.token_weights and own is not None else None
        return Experience(
            samples=tuple(samples),
            prompts=prompts,
            completions=completions,
            scores=scores.by_reward,
            parse_failures=scores.parse_failures,
            rewards=scores.total,
            advantages=self.advantage(scores),
            loss_mask=loss_mask,
            old_logprobs=completions.logprobs if to_sampler else frozen,
            ratio_to_sampler=to_sampler,
            token_weights=weights,
            reference_logprobs=reference,
            max_tokens=self.params.max_tokens,
            seconds=seconds,
        )

    def _exact_logprobs(self, completions: Completions) -> Tensor | None:
        """Those of the policy at the tokens it wrote, where its sampler knows them."""
        exact = self.writer.sampler.exact and not self.params.truncates
        return completions.logprobs if exact else None

    def _judged(
        self,
        batches: list[list[Sample]],
        prompts: Prompts,
        completions: Completions,
        freeze: bool,
        step: int,
        seconds: dict[str, float],
    ) -> tuple[Scores, TokenLogprobs | None, Tensor | None]:
        """Scores, and beside them what the policy says of the tokens and the reference, as far as they are asked."""
        samples, sizes = [sample for batch in batches for sample in batch], [len(batch) for batch in batches]
        unknown = self.divergence and self._exact_logprobs(completions) is None
        reads = freeze or unknown or self.token_weights is not None
        passes = reads + (self.reference is not None)
        read = partial(frozen_logprobs, prompts, completions, sizes, self.params.temperature)
        with beside(self._score, samples, completions, step, seconds, when=passes > 0) as scoring:
            with self._timed("reference", seconds):
                own = read(self.writer.policy.evaluating()) if reads else None
                reference = None if self.reference is None else read(self.reference.model()).logprobs
            scores = scoring.result()
        self.writer.count_reading(prompts, completions.mask, passes)
        return scores, own, reference

    def _with_divergence(
        self, scores: Scores, completions: Completions, own: TokenLogprobs | None, reference: Tensor | None
    ) -> Scores:
        if not self.divergence or reference is None:
            return scores
        logprobs = self._exact_logprobs(completions) if own is None else own.logprobs
        assert logprobs is not None
        return replace(scores, divergence=((logprobs - reference) * completions.mask).sum(dim=1))

    def _written(self, samples: list[Sample], step: int, key: Sequence[int | str]) -> tuple[Prompts, Completions]:
        prompts, written = [], []
        views = self.hooks.views(samples, self.group_size)
        with whole(self.writer.policy):
            for i, view in enumerate(views):
                seeds = prompt_seeds(samples, self.seed, step, *key, *([f"view {i}"] if i else []))
                prompts.append(self.writer.encode(view.samples))
                written.append(self.writer.write(prompts[-1], view.size, self.params, seeds, step))
        return prompts[0], written[0] if len(views) == 1 else dealt(written, [view.size for view in views])

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


def all_but_last(count: int, mask: Tensor) -> Tensor:
    """False for the last rows of a mask. Shape ``(N,)``."""
    return torch.arange(len(mask), device=mask.device) < len(mask) - count


def dealt(parts: Sequence[Completions], sizes: Sequence[int]) -> Completions:
    """Put the completions of each group beside each other that were sampled apart.

    Args:
        parts: Completions of the same prompts.
        sizes: Completions per prompt in each part.
    """
    starts = [sum(len(part) for part in parts[:i]) for i in range(len(parts))]
    num_prompts = len(parts[0]) // sizes[0]
    rows = [
        start + prompt * size + i
        for prompt in range(num_prompts)
        for start, size in zip(starts, sizes, strict=True)
        for i in range(size)
    ]
    return parts[0].join(parts[1:]).select(rows)

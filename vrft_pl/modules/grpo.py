"""Group relative policy optimization (https://arxiv.org/abs/2402.03300) of a vision-language model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vrft_pl.algorithms import GRPOLoss, group_advantage
from vrft_pl.algorithms.advantage import Baseline, check_group_size
from vrft_pl.callbacks.rollout import RolloutCallback
from vrft_pl.distributed import data_share
from vrft_pl.modules.base import PolicyModule
from vrft_pl.modules.reference import Reference, ReferenceKind
from vrft_pl.modules.rollout_log import rollout_log
from vrft_pl.rewards import Judge, Reward, paper_rewards
from vrft_pl.rewards.base import Grades, check_names
from vrft_pl.rollout import RolloutLoader, SamplingParams
from vrft_pl.types import Completions, Experience, Prompts, Sample

T = TypeVar("T")


class GRPOModule(PolicyModule):
    """Reinforces a policy with verifiable rewards.

    Args:
        rewards: What the policy is trained on, each with its weight; or the name of a paper's rewards, such as
            ``visual_rft/detection`` (`vrft_pl.rewards.paper_rewards`).
        loss: The surrogate and its denominators.
        group_size: ``G``, completions per prompt.
        params: How completions are drawn for training.
        window: Micro-batches whose completions are sampled together, a multiple of ``accumulate_grad_batches``. The
            default, equal to it, trains on policy.
        num_iterations: Times that each window is trained on.
        scale_by_std: Divide advantages by the standard deviation of their group.
        baseline: What a reward is compared with: the ``mean`` of its group, or of the others (``leave_one_out``).
        reference: The frozen policy of the KL term: a second model (``copy``), the policy with its adapter switched off
            (``adapter_off``), or whichever fits (``auto``). There is none when ``loss.kl_coefficient`` is 0.
        metrics: Rewards and other metrics that judge held-out completions. Defaults to ``rewards``.
        **kwargs: Those of `PolicyModule`.

    Raises:
        ValueError: If arguments contradict each other or are out of their range.
    """

    def __init__(
        self,
        rewards: Sequence[Reward] | str,
        loss: GRPOLoss | None = None,
        group_size: int = 8,
        params: SamplingParams = SamplingParams(),  # noqa: B008  # frozen
        window: int | None = None,
        num_iterations: int = 1,
        scale_by_std: bool = True,
        baseline: Baseline = "mean",
        reference: ReferenceKind = "auto",
        metrics: Sequence[Judge] | None = None,
        **kwargs: Any,
    ) -> None:
        judges = paper_rewards(rewards) if isinstance(rewards, str) else rewards
        super().__init__(metrics=judges if metrics is None else metrics, **kwargs)
        loss = loss or GRPOLoss()
        check_group_size(group_size)
        check_names(judges)
        if num_iterations < 1:
            raise ValueError(f"Expected `num_iterations` to be at least 1, but got {num_iterations}.")
        if window is not None and window < 1:
            raise ValueError(f"Expected `window` to be at least 1 micro-batch, but got {window}.")
        if not any(reward.weight_at(0) for reward in judges):
            raise ValueError(
                "Expected `rewards` to hold at least one reward with a `weight` above 0 and a `start` of 0."
            )
        if params.temperature == 0:
            raise ValueError(
                "Expected `params.temperature` to be above 0: greedy completions of one prompt are all equal."
            )
        if params.truncates and loss.importance_cap is None:
            raise ValueError(
                "Expected `loss.importance_cap` to be set with `top_k` or `top_p`: the sampler then draws from another "
                "distribution than the one that is trained."
            )
        loss.max_tokens = params.max_tokens if loss.max_tokens is None else loss.max_tokens
        self.rewards, self.loss, self.params = tuple(judges), loss, params
        self.group_size, self.window, self.num_iterations = group_size, window, num_iterations
        self.scale_by_std, self.baseline = scale_by_std, baseline
        self.reference = Reference(self.policy, reference) if loss.kl_coefficient else None
        self.rollout_stats: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def wrap_train_loader(self, loader: DataLoader) -> RolloutLoader:
        """Turn the loader of Samples into a loader of Experience."""
        step_batches = self.trainer.accumulate_grad_batches
        seed = self.seed * 1009 + data_share(self.trainer.strategy).position
        self.generator = torch.Generator(device=self.policy.device).manual_seed(seed)
        rollouts = RolloutLoader(
            loader,
            self.collect,
            self._encode,
            self.generator,
            window=step_batches if self.window is None else self.window,
            step_batches=step_batches,
            num_iterations=self.num_iterations,
            skip_dead_groups=self.reference is None,
            mean_over_ranks=self.mean_over_ranks,
        )
        return self.resumed(rollouts)

    def collect(self, batches: list[list[Sample]], reused: bool) -> Experience:
        """Left half of the algorithm: sample, score, compare. See `Collect`."""
        self._tell("on_rollout_start")
        samples = [sample for batch in batches for sample in batch]
        repeated = [sample for sample in samples for _ in range(self.group_size)]
        with self.trainer.precision_plugin.forward_context():
            with self._timed("rollout"):
                prompts = self._encode(samples)
                completions = self.sampler.generate(self.policy, prompts, self.group_size, self.params, self.generator)
            sizes = [len(batch) for batch in batches]
            with self._beside(self._grade, completions, repeated, when=reused or self.reference) as grading:
                with self._timed("reference"):
                    old = self._frozen_logprobs(prompts, completions, sizes, reference=False) if reused else None
                    reference = self._frozen_logprobs(prompts, completions, sizes, True) if self.reference else None
                grades = grading.result()
        scores = {name: grade.scores for name, grade in grades.items()}
        step, none = self.trainer.global_step, torch.zeros(1, device=self.device)
        rewards = sum((r.weight_at(step) * scores[r.name] for r in self.rewards), start=none)
        experience = Experience(
            samples=tuple(samples),
            prompts=prompts,
            completions=completions,
            scores=scores,
            parse_failures={name: grade.parse_failures for name, grade in grades.items()},
            rewards=rewards,
            advantages=group_advantage(rewards, self.group_size, self.scale_by_std, self.baseline),
            loss_mask=self.loss.token_mask(completions),
            old_logprobs=old,
            reference_logprobs=reference,
            seconds=dict(self._seconds),
        )
        # 0 for a reason that no longer occurs: Lightning repeats what is not logged again
        self.rollout_stats = dict.fromkeys(self.rollout_stats, 0.0) | rollout_log(experience)
        self._tell("on_rollout_end", experience)
        return experience

    def training_step(self, experience: Experience, batch_idx: int) -> Tensor:
        """Right half of the algorithm: the clipped surrogate on one micro-batch."""
        start = time.perf_counter()
        logprobs, entropy = self.policy.logprobs(experience.prompts, experience.completions, self.params.temperature)
        loss, stats = self.loss(logprobs, experience)
        mask, sampled = experience.completions.mask, experience.completions.logprobs
        stats["entropy"] = entropy.sum() / mask.sum()
        if experience.old_logprobs is None and sampled is not None:
            stats["sampler_gap"] = ((logprobs.detach() - sampled).abs() * mask).sum() / mask.sum()
        self.log("train/loss", loss, batch_size=len(experience))
        self.log_dict({f"train/{name}": value for name, value in stats.items()}, batch_size=len(experience))
        self.log_dict(self.rollout_stats, batch_size=len(experience))
        self._update_start = start
        return self.undivided(loss)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the seconds of forward, backward and optimizer."""
        self.log("time/update", time.perf_counter() - self._update_start, batch_size=1)

    def _frozen_logprobs(self, prompts: Prompts, completions: Completions, sizes: list[int], reference: bool) -> Tensor:
        """Log-probs without gradient, in pieces of the micro-batches' sizes. Shape ``(N, T)``."""
        rows = torch.zeros_like(completions.mask, dtype=torch.float32)
        first = 0
        frozen = self.reference.model(self.policy) if reference and self.reference else self.policy.evaluating()
        with frozen as policy:
            for size in sizes:
                index = range(first * self.group_size, (first + size) * self.group_size)
                part = completions.select(index)
                logprobs = policy.logprobs(prompts[first : first + size], part, self.params.temperature).logprobs
                rows[index.start : index.stop, : logprobs.shape[1]] = logprobs
                first += size
        return rows

    def _encode(self, samples: list[Sample]) -> Prompts:
        with self.trainer.precision_plugin.forward_context():
            return self.policy.look(self.policy.encode(samples))

    @staticmethod
    @contextmanager
    def _beside(work: Callable[..., T], *args: Any, when: Any) -> Iterator[Future[T]]:
        """Work in a thread beside forward passes, which leave the interpreter free; at once when there are none."""
        if when:
            with ThreadPoolExecutor(max_workers=1) as pool:
                yield pool.submit(work, *args)
        else:
            done: Future[T] = Future()
            done.set_result(work(*args))
            yield done

    def _grade(self, completions: Completions, samples: list[Sample]) -> dict[str, Grades]:
        with self._timed("reward"):
            return {reward.name: reward.grade(completions, samples) for reward in self.rewards}

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == "cuda" and phase != "reward":  # which runs in a thread beside the device
            torch.cuda.synchronize(self.device)
        self._seconds[phase] = time.perf_counter() - start

    def _tell(self, hook: str, *args: Any) -> None:
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
            if isinstance(callback, RolloutCallback):
                getattr(callback, hook)(self.trainer, self, *args)

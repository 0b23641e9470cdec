"""A small part of the held-out samples, evaluated while training."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from vrft_pl.callbacks.checkpoint import between_optimizer_steps
from vrft_pl.callbacks.cost import counted_as_evaluation
from vrft_pl.callbacks.evaluation import Evaluation, share_of
from vrft_pl.callbacks.predictions import PredictionWriter
from vrft_pl.data import SampleData
from vrft_pl.distributed import data_share, gather
from vrft_pl.rewards import GuardedJudges, Judge
from vrft_pl.rewards.base import REASONS, Grades
from vrft_pl.rewards.panel import judge, totals
from vrft_pl.rollout import SamplingParams
from vrft_pl.types import Completions, Sample

NAME = "val_subset"
"""Under which its numbers are logged."""
STEPS = 50
"""Optimizer steps between two evaluations of a run without an end."""


@runtime_checkable
class Writes(Protocol):
    """A module that writes and has metrics to judge by, as a `PolicyModule` does."""

    metrics: Sequence[Judge]
    eval_params: SamplingParams

    def generate(
        self, samples: Sequence[Sample], group_size: int, params: SamplingParams, seed: int | str
    ) -> Completions:
        """Write ``group_size`` completions to each sample, reproducibly for a seed."""


class ValSubset(Callback):
    """Evaluates the same few held-out samples before the first optimizer step and then while training.

    What is logged is ``val_subset/<part>/<Name>``, with the mean length and the share of truncated completions, and the
    share of those that a reward could not read by reason (left out where it is 0), beside the training step it comes
    after, and ``time/val_subset``. The completions are written as those of any evaluation (`PredictionWriter`); an
    evaluation of the whole split at the same step takes their place. Training is the same with and without it.

    Args:
        times: Evaluations over a run, as far apart as its steps allow; 0 switches it off. A run that validates on
            nothing (``limit_val_batches: 0``) has none.
        num_samples: Most samples that are evaluated, shared out among the parts: the first of each, at least one for
            each process.

    Raises:
        ValueError: If ``times`` is negative or ``num_samples`` is below 1.
    """

    def __init__(self, times: int = 6, num_samples: int = 24) -> None:
        if times < 0 or num_samples < 1:
            raise ValueError(
                "Expected `times` to be 0 or more and `num_samples` to be at least 1, "
                f"but got {times} and {num_samples}."
            )
        self.times, self.num_samples = times, num_samples
        self._every = 0
        self._samples: dict[str, list[Sample]] = {}
        self._judges: dict[str, list[Judge]] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the samples, and evaluate the policy as it is where training starts."""
        self._samples = {}
        if not self.times or not isinstance(pl_module, Writes):
            return
        steps = trainer.estimated_stepping_batches
        self._last = steps
        self._every = STEPS if steps == float("inf") else math.ceil(steps / self.times)
        self._samples = first_samples(trainer, self.num_samples)
        self._judges = {part: copies(pl_module, pl_module.metrics, pl_module.device) for part in self._samples}
        if self._samples and trainer.global_step == 0:
            with counted_as_evaluation(trainer, pl_module):
                self._evaluate(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Evaluate when it is due and an optimizer step has just ended."""
        step = trainer.global_step
        if self._samples and between_optimizer_steps(trainer) and (step % self._every == 0 or step == self._last):
            with counted_as_evaluation(trainer, pl_module):
                self._evaluate(trainer, pl_module)

    def _evaluate(self, trainer: Trainer, module: Any) -> None:
        start = time.perf_counter()
        evaluation = begun(trainer, tuple(self._samples))
        counts: dict[str, Counter[str]] = {part: Counter() for part in self._samples}
        for part, samples, completions in self._answers(trainer, module):
            grades = judge(self._judges[part], completions, samples)
            counts[part].update(counted(completions, grades))
            if evaluation is not None:
                evaluation.add(part, samples, completions, grades)
        if evaluation is not None:
            evaluation.write(evaluation.gathered(), replace_step=False)
        numbers = {f"{NAME}/{part}/{name}": v for part in counts for name, v in self._values(part, counts[part])}
        numbers[f"time/{NAME}"] = time.perf_counter() - start
        for logger in trainer.loggers:
            # beside the training step it comes after, with which it is cut back
            logger.log_metrics(numbers, max(trainer.global_step - 1, 0))

    def _answers(self, trainer: Trainer, module: Any) -> Iterator[tuple[str, list[Sample], Completions]]:
        """What the policy writes on the samples, in batches of all parts together."""
        asked = [(part, sample) for part, samples in self._samples.items() for sample in samples]
        size = trainer.datamodule.eval_batch_size  # type: ignore[attr-defined]  # a SampleData
        for start in range(0, len(asked), size):
            batch = asked[start : start + size]
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                completions = module.generate([sample for _, sample in batch], 1, module.eval_params, NAME)
            for part in dict.fromkeys(part for part, _ in batch):
                rows = [i for i, (own, _) in enumerate(batch) if own == part]
                yield part, [batch[i][1] for i in rows], completions.select(rows)

    def _values(self, part: str, counts: Counter[str]) -> Iterator[tuple[str, float]]:
        """What the metrics say of a part, and the shares of what was counted, over all ranks."""
        yield from ((name, float(value)) for name, value in totals(self._judges[part]))
        total: Counter[str] = Counter()
        for own in gather(counts):
            total.update(own)  # not by `+`, which drops what is 0
        for name in sorted(total.keys() - {"completions"}):
            yield name, total[name] / total["completions"]


def copies(module: Writes, metrics: Sequence[Judge], device: torch.device) -> list[Judge]:
    """Copies of a module's metrics, which end no run where the module guards against that."""
    guard = getattr(module, "guarded_judges", None)
    if isinstance(guard, GuardedJudges):
        return guard.copies(metrics, device)
    return [copy.deepcopy(metric).to(device) for metric in metrics]


def first_samples(trainer: Trainer, num_samples: int) -> dict[str, list[Sample]]:
    """This rank's share of the first samples of each part that a run validates on, in the order of the data.

    Args:
        trainer: The run's trainer.
        num_samples: Of all parts and ranks together.
    """
    task, limit, found = getattr(trainer, "datamodule", None), trainer.limit_val_batches, {}
    if not isinstance(task, SampleData) or not limit:
        return {}
    ranks, position = data_share(trainer.strategy)
    parts = task.datasets("val")
    for i, (part, rows) in enumerate(parts.items()):
        if share := share_of(num_samples, len(parts), i):
            validated = limit * task.eval_batch_size * ranks if isinstance(limit, int) else len(rows)  # type: ignore[arg-type]  # sized
            found[part] = [rows[row] for row in range(position, min(max(share, ranks), validated, len(rows)), ranks)]  # type: ignore[arg-type]  # sized
    return found


def begun(trainer: Trainer, parts: Sequence[str]) -> Evaluation | None:
    """What takes the completions of an evaluation, as the run's `PredictionWriter` would have it.

    ``None`` where a run has none, or it wrote an evaluation of the whole split at this step.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    for writer in callbacks:
        if isinstance(writer, PredictionWriter) and writer.enabled and writer.in_fit:
            whole = writer.written_at == trainer.global_step
            return None if whole else Evaluation(trainer, parts, writer.pictures, writer.max_side)
    return None


def counted(completions: Completions, grades: Mapping[str, Grades]) -> Counter[str]:
    """Count completions, their tokens, those that are truncated, and those that a reward could not read by reason."""
    counts = Counter(
        completions=len(completions),
        completion_tokens=int(completions.mask.sum()),
        truncated=int(completions.truncated.sum()),
    )
    for name, graded in grades.items():
        codes = Counter(graded.parse_failures.tolist())
        counts.update({f"parse_failures/{name}/{r.value}": codes[i] for i, r in enumerate(REASONS, 1) if codes[i]})
    return counts

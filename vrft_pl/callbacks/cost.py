"""What a run of training costs, in every unit in which it may be compared with another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from vrft_pl.distributed import data_share, gather, rank
from vrft_pl.policy.cost import Cost, Flops, tokens_read
from vrft_pl.rollout import RolloutCallback, Writer
from vrft_pl.types import Demonstrations, Experience, Prompts

PEAK = "peak_memory"


class CostMeter(RolloutCallback):
    """Counts what training and evaluation took: samples, completions, tokens, operations, seconds, memory of a GPU.

    Sums are over the ranks, and over the processes of a run that is resumed; what was done after the checkpoint that is
    resumed, and is done again, counts once. The numbers are logged once, at the end of ``fit``, as ``train/cost/*`` and
    ``time/cost/*``, and `vrft_pl fit` writes them into ``summary.json``. Evaluations are counted apart.

    Passes of reference and sampling policy count with what was written, in rounds beyond the window too. It should
    stand before callbacks that change what is trained on: it takes the seconds of phases from what was collected.
    """

    def __init__(self) -> None:
        self.training, self.evaluation = Cost(), Cost()
        self.phases: dict[str, float] = {}
        self.peak_memory = 0
        self._seen = Cost()
        self._clock: float | None = None
        self._update_start = 0.0
        self._flops: Flops | None = None
        self._counts = True

    # what is counted

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out whether this rank counts: of those that read the same rows, and split tensors, the first does."""
        readers = gather(data_share(trainer.strategy).position)
        self._counts = readers.index(readers[rank()]) == rank()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        writer = writer_of(pl_module)
        self._flops = None if writer is None else Flops.of(writer.policy)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._mark(pl_module)

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Count the seconds of each phase."""
        for phase, seconds in experience.seconds.items():
            self._spend(phase, seconds)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count what is trained on. Before the step: a GPU would have to be waited for after it."""
        self._update_start = time.perf_counter()
        if isinstance(batch, Demonstrations):
            self._train(pl_module, batch.prompts, batch.targets.mask, batch.targets.mask, len(batch))
        elif isinstance(batch, Experience):
            self._train(pl_module, batch.prompts, batch.completions.mask, batch.loss_mask, 0)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Count the seconds, and what was written for this batch."""
        self._spend("update", time.perf_counter() - self._update_start)
        self._lap(pl_module, "training")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the last seconds."""
        self._lap(pl_module, "training")
        self._clock = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count an evaluation, within training or beside it."""
        if trainer.state.fn == TrainerFn.FITTING and self._clock is not None:
            self._lap(pl_module, "training")
        self._mark(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count an evaluation."""
        self._lap(pl_module, "evaluation")
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            self._clock = None

    # what is told of it

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the numbers."""
        cost = self.summary(trainer)
        seconds = {"train": cost["seconds"], "evaluation": cost["evaluation"]["seconds"], **cost["phases"]}
        counts = {name: value for name, value in cost.items() if isinstance(value, int | float) and name != "seconds"}
        names = ("completions", "generated_tokens", "flops")
        counts |= {f"evaluation_{name}": cost["evaluation"][name] for name in names}
        logged = {f"train/cost/{name}": float(value) for name, value in counts.items()}
        logged |= {f"time/cost/{phase}": value for phase, value in seconds.items()}
        for logger in trainer.loggers:
            logger.log_metrics(logged, step=trainer.global_step)

    def summary(self, trainer: Trainer) -> dict[str, Any]:
        """The numbers of the whole run. Every rank calls it.

        Returns:
            The fields of `Cost` of training; ``phases`` (seconds by phase, of which those of rewards pass beside those
            of the reference), ``evaluation`` (the fields of `Cost` that evaluation has) and, on a GPU, ``peak_memory``
            (most bytes of one GPU).
        """
        state = self.state_dict()
        training = replace(Cost(**state["training"]), optimizer_steps=trainer.global_step)
        evaluation = {k: v for k, v in state["evaluation"].items() if k not in ("optimizer_steps", "trained_tokens")}
        memory = {PEAK: state[PEAK]} if state[PEAK] else {}
        return {**training.as_dict(), "phases": state["phases"], "evaluation": evaluation, **memory}

    def state_dict(self) -> dict[str, Any]:
        """What all ranks have counted. Every rank calls it."""
        if torch.cuda.is_available():
            self.peak_memory = max(self.peak_memory, torch.cuda.max_memory_allocated())
        told = gather((self.training, self.evaluation, self.phases, self.peak_memory))
        trainings, evaluations, phases, peaks = zip(*told, strict=True)
        return {
            "training": self._sum(trainings).as_dict(),
            "evaluation": self._sum(evaluations).as_dict(),
            "phases": dict(phases[0]),
            PEAK: max(peaks),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting where the run stopped that is resumed; the first rank has what all had counted."""
        training, evaluation = Cost(**state_dict["training"]), Cost(**state_dict["evaluation"])
        first = rank() == 0
        self.training, self.evaluation = (training, evaluation) if first else (Cost(), Cost())
        self.phases, self.peak_memory = dict(state_dict["phases"]), state_dict[PEAK]

    # how

    def _train(self, module: LightningModule, prompts: Prompts, mask: Tensor, loss_mask: Tensor, samples: int) -> None:
        """Count a pass forward and backward."""
        writer = writer_of(module)
        if writer is None or self._flops is None or not self._counts:
            return
        tokens = tokens_read(writer.policy, prompts, mask)
        flops = self._flops.forward(tokens) + self._flops.backward(tokens)
        self.training += Cost(samples=samples, trained_tokens=int(loss_mask.sum()), flops=flops)

    def _mark(self, module: LightningModule) -> None:
        """Leave uncounted what was until now."""
        writer = writer_of(module)
        self._seen = Cost() if writer is None else writer.spent
        self._clock = time.perf_counter()

    def _lap(self, module: LightningModule, kind: str) -> None:
        """Count the seconds and what was written since the last lap."""
        if self._clock is None:
            return
        start, seen = self._clock, self._seen
        self._mark(module)
        cost = self._seen - seen if self._counts else Cost()
        seconds = self._clock - start if rank() == 0 else 0.0
        setattr(self, kind, getattr(self, kind) + cost + Cost(seconds=seconds))

    def _spend(self, phase: str, seconds: float) -> None:
        self.phases[phase] = self.phases.get(phase, 0.0) + seconds

    @staticmethod
    def _sum(costs: Sequence[Cost]) -> Cost:
        return sum(costs, start=Cost())


@contextmanager
def counted_as_evaluation(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """Let the meters of a run count what a callback writes while training as evaluation."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    meters = [callback for callback in callbacks if isinstance(callback, CostMeter)]
    for meter in meters:
        meter.on_validation_start(trainer, module)
    yield
    for meter in meters:
        meter.on_validation_end(trainer, module)


def writer_of(module: LightningModule) -> Writer | None:
    """What a module writes with; a module of another kind has none."""
    writer = getattr(module, "writer", None)
    return writer if isinstance(writer, Writer) else None

"""How long will the run take?"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import Dataset

from vrft_pl.check.findings import Finding
from vrft_pl.check.signal import chosen_samples, why_none
from vrft_pl.check.subject import Subject
from vrft_pl.data import SampleData
from vrft_pl.data.resumable import used_batches
from vrft_pl.data.samples import Split
from vrft_pl.types import InputError, Sample


class GivenSamples(SampleData):
    """Trains on samples that are read already.

    Args:
        samples: The samples.
        batch_size: Prompts per micro-batch.
        num_workers: Worker processes of the loader.
    """

    def __init__(self, samples: Sequence[Sample], batch_size: int, num_workers: int) -> None:
        super().__init__(batch_size=batch_size, num_workers=num_workers)
        self.samples: Any = samples

    def datasets(self, split: Split) -> dict[str, Dataset[Sample]]:
        """The samples; nothing is held out."""
        return {"given": self.samples} if split == "train" else {}


class StepTimes(Callback):
    """Notes when each optimizer step ends; the next, with its rollout, begins there."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Note the time of a step that is complete."""
        if trainer.global_step > len(self.ends):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.ends.append(time.perf_counter())


def check_speed(subject: Subject) -> list[Finding]:
    """Take optimizer steps, the first to warm up, and say how long all of them would take."""
    samples = chosen_samples(subject)
    if not samples:
        return [Finding("note", f"{why_none(subject)}: no step was measured.")]
    on_gpu = subject.trainer.strategy.root_device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        seconds = seconds_a_step(subject, samples)
    except torch.OutOfMemoryError as error:
        advice = (
            "Try `gradient_checkpointing: true`, a smaller `batch_size` with more `accumulate_grad_batches`, or fewer "
            "`max_tokens` or `max_pixels`."
        )
        return [Finding("error", f"A step runs out of memory: {str(error).splitlines()[0]} {advice}")]
    except InputError as error:
        return [Finding("error", str(error))]
    steps = num_steps(subject)
    what = f"One optimizer step takes {seconds:.2f} seconds on one {'GPU' if on_gpu else 'CPU'}"
    if on_gpu:
        what += f" and {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB at its peak"
    if steps is None:
        return [Finding("note", f"{what}; the run has no end that is known.")]
    hurdles = "" if subject.section.available else ", which is not what the run is for"
    others = ", communication between devices left out" if subject.section.devices > 1 else ""
    total = f"{steps} steps take {duration(seconds * steps)}, evaluation left out{others}"
    return [Finding("note", f"{what}{hurdles}; {total}.")]


def seconds_a_step(subject: Subject, samples: Sequence[Sample]) -> float:
    """Mean seconds of an optimizer step with its share of a rollout, after one window to warm up."""
    module, accumulate = subject.module, subject.trainer.accumulate_grad_batches
    window = module.window or accumulate
    steps = max(1, window // accumulate) * module.num_iterations
    needed = 2 * window * subject.task.batch_size
    given = [replace(samples[i % len(samples)]) for i in range(needed)]
    times = StepTimes()
    length = {"max_steps": 2 * steps, "max_epochs": -1, "max_time": None, "limit_train_batches": None}
    # the precision of this machine's trainer: that of the run may need a device that is missing
    trainer = subject.section.stand_in(
        **length, limit_val_batches=0, callbacks=[times], precision=subject.trainer.precision
    )
    trainer.fit(module, datamodule=GivenSamples(given, subject.task.batch_size, subject.task.num_workers))
    return (times.ends[2 * steps - 1] - times.ends[steps - 1]) / steps


def num_steps(subject: Subject) -> int | None:
    """Optimizer steps of the run; ``None`` where nothing ends it."""
    trainer, epochs = subject.trainer, subject.trainer.max_epochs
    if epochs is None and trainer.max_steps < 0 and "max_time" not in subject.section.options:
        epochs = 1000  # Lightning's own default, which it sets as late as in `fit`
    limits = [trainer.max_steps] if trainer.max_steps >= 0 else []
    parts = {row.part for row in subject.rows if row.part.split == "train"}
    rows = sum(len(part.source) for part in parts)
    if epochs is not None and epochs >= 0 and rows:
        share = math.ceil(rows / subject.section.devices)
        full = math.ceil(share / subject.task.batch_size) * subject.module.num_iterations
        batches = used_batches(full, trainer.limit_train_batches)
        limits.append(epochs * math.ceil(batches / trainer.accumulate_grad_batches))
    return min(limits, default=None)


def duration(seconds: float) -> str:
    """Seconds for people.

    Example:
        >>> duration(50), duration(600), duration(40_000)
        ('50 seconds', '10 minutes', '11.1 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"

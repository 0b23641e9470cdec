"""Progress where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from vrft_pl.stdout import say

SHOWN = {"train/reward": "reward", "train/loss": "loss"}
"""Logged numbers that a line has, by what they are called there."""
NEVER = -float("inf")
"""When a line was told that has not been yet."""


class ProgressLines(ProgressBar):
    """A line of text now and then, as for the log of a batch job: the step, reward, loss and the time left.

    Args:
        seconds: Least time between two lines; the first and the last step have theirs in any case.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        if seconds < 0:
            raise ValueError(f"Expected `seconds` to be at least 0, but got {seconds}.")
        self.seconds = seconds
        self.enabled = True
        self._told = self._began = NEVER
        self._first_step = self._last_step = 0

    def disable(self) -> None:
        """Say nothing, as on all ranks but the first."""
        self.enabled = False

    def enable(self) -> None:
        """Say something again."""
        self.enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Time what is left by the steps from here on."""
        self._began, self._told = time.monotonic(), NEVER
        self._first_step = self._last_step = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Tell of an optimizer step that is done."""
        if (step := trainer.global_step) == self._last_step:
            return
        self._last_step = step
        steps = trainer.estimated_stepping_batches
        whole = int(steps) if steps not in (-1, float("inf")) else None
        if self._due(last=step == whole):
            numbers = {short: trainer.callback_metrics.get(name) for name, short in SHOWN.items()}
            parts = [f"{short} {float(value):.3f}" for short, value in numbers.items() if value is not None]
            left = [] if whole is None else [f"{self._left(step, whole)} left"]
            self._tell(f"step {step}/{whole}" if whole else f"step {step}", *parts, *left)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Tell of a batch of an evaluation."""
        self._tell_part("validation", batch_idx, trainer.num_val_batches, dataloader_idx)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Tell of a batch of an evaluation."""
        self._tell_part("test", batch_idx, trainer.num_test_batches, dataloader_idx)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Tell of a batch of predictions."""
        self._tell_part("predict", batch_idx, trainer.num_predict_batches, dataloader_idx)

    def _tell_part(self, what: str, batch_idx: int, batches: Sequence[int | float], part: int) -> None:
        if self._told == NEVER:
            self._told = time.monotonic()  # what takes less than a pause needs no line
        if self._due(last=False):
            self._tell(f"{what}: part {part + 1} of {len(batches)}", f"batch {batch_idx + 1}/{batches[part]}")

    def _due(self, last: bool) -> bool:
        return self.enabled and (last or time.monotonic() - self._told >= self.seconds)

    def _tell(self, *parts: str) -> None:
        self._told = time.monotonic()
        self.enabled = say("  ".join(parts))

    def _left(self, step: int, whole: int) -> timedelta:
        each = (time.monotonic() - self._began) / (step - self._first_step)
        return timedelta(seconds=round(each * (whole - step)))

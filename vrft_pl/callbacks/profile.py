"""Where the time of one optimizer step goes."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch.profiler import ProfilerActivity, profile

from vrft_pl.cells import markdown_table
from vrft_pl.rollout import RolloutCallback
from vrft_pl.runs import RunFolder
from vrft_pl.types import Experience


class StepProfile(RolloutCallback):
    """Profiles one optimizer step with its rollout, and writes ``profile.md`` and a Chrome trace, ``trace.json``.

    The table has the seconds of each phase and of the operators that took longest. Profiling slows the step down, the
    phases of many small operators most. Reward seconds pass beside those of the reference.

    Args:
        step: Optimizer steps before the one that is profiled; the first are slower than the rest. The step taken is
            the next that begins with a rollout.
        num_operators: Rows of the table of operators.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, step: int = 3, num_operators: int = 25) -> None:
        if step < 0 or num_operators < 1:
            raise ValueError(
                "Expected `step` to be 0 or more and `num_operators` to be at least 1, "
                f"but got {step} and {num_operators}."
            )
        self.step, self.num_operators = step, num_operators
        self.seconds: dict[str, float] = defaultdict(float)
        self._profile: profile | None = None
        self._done = False
        self._mark = 0.0

    def on_rollout_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to profile when it is time."""
        if self._done or self._profile is not None or trainer.global_step < self.step:
            return
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self._last_step = trainer.global_step
        self._profile = profile(activities=activities).__enter__()
        self._mark = self._now()

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Take the phases that the module measured."""
        if self._profile is not None:
            for name in ("rollout", "reward", "reference"):
                self.seconds[name] += experience.seconds[name]
            self._mark = self._now()

    def on_train_batch_start(self, *args: Any, **kwargs: Any) -> None:
        """Count as loading what lies between a rollout or a batch and this batch."""
        self._lap("loading")

    def on_before_zero_grad(self, *args: Any, **kwargs: Any) -> None:
        """End the forward pass."""
        self._lap("forward")

    def on_before_backward(self, *args: Any, **kwargs: Any) -> None:
        """End the forward pass of a micro-batch that keeps the gradients of others."""
        self._lap("forward")

    def on_after_backward(self, *args: Any, **kwargs: Any) -> None:
        """End the backward pass."""
        self._lap("backward")

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Write the tables when the optimizer has stepped."""
        self._lap("optimizer")
        if self._profile is None or trainer.global_step == self._last_step:
            return
        self._profile.__exit__(None, None, None)
        folder = RunFolder.of(trainer)
        if trainer.is_global_zero:
            folder.write_text(folder.PROFILE, self.table())
            with folder.place(folder.TRACE) as path:
                self._profile.export_chrome_trace(str(path))
        rank_zero_info(f"Wrote {folder.PROFILE} and {folder.TRACE} of step {self._last_step} to {folder}.")
        self._profile, self._done = None, True

    def table(self) -> str:
        """Write both tables as Markdown."""
        assert self._profile is not None
        total = sum(seconds for name, seconds in self.seconds.items() if name != "reward")
        phases = [(name, f"{value:.3f}", f"{value / total:.0%}") for name, value in self.seconds.items()]
        operators = self._profile.key_averages()
        own = {op: (op.self_device_time_total or 0) + op.self_cpu_time_total for op in operators}
        longest = sorted(operators, key=lambda op: -own[op])[: self.num_operators]
        rows = [(op.key, str(op.count), f"{own[op] / 1e6:.3f}") for op in longest]
        first = markdown_table(("phase", "seconds", "share"), phases)
        return f"{first}\n\n{markdown_table(('operator', 'calls', 'seconds by itself'), rows)}\n"

    def _now(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    def _lap(self, phase: str) -> None:
        if self._profile is not None:
            now = self._now()
            self.seconds[phase] += now - self._mark
            self._mark = now

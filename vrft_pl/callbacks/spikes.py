"""Numbers of an update that leave their usual range."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from vrft_pl.callbacks.checkpoint import between_optimizer_steps
from vrft_pl.distributed import mean_over_ranks
from vrft_pl.rollout import RolloutCallback


class SpikeFlag(RolloutCallback):
    """Flags optimizer steps of which a logged number is far above its running median, such as gradient norm or KL.

    Nothing is changed: ``train/spikes/<number>`` counts the steps flagged so far, and the first is told. The median is
    that of the newest ``window`` values of the mean over ranks, flagged ones included, so that a new level is none for
    ever. Of micro-batches the last counts. A number that the run does not log is left alone; `NonFiniteGuard` logs the
    gradient norm.

    Args:
        names: Logged names.
        factor: Times the median that a step is flagged from.
        window: Optimizer steps that the median is of.
        warmup: Optimizer steps before the first can be flagged.

    Raises:
        ValueError: If ``factor`` is not above 1, or not 1 <= ``warmup`` <= ``window``.
    """

    def __init__(
        self,
        names: Sequence[str] = ("train/gradient_norm", "train/kl"),
        factor: float = 10.0,
        window: int = 50,
        warmup: int = 10,
    ) -> None:
        if not factor > 1:
            raise ValueError(f"Expected `factor` to be above 1, but got {factor}.")
        if not 1 <= warmup <= window:
            raise ValueError(f"Expected `warmup` to be from 1 to `window`, but got {warmup} and {window}.")
        self.names, self.factor, self.window, self.warmup = tuple(names), factor, window, warmup
        self.values: dict[str, deque[float]] = {name: deque(maxlen=window) for name in self.names}
        self.counts = dict.fromkeys(self.names, 0)

    def state_dict(self) -> dict[str, Any]:
        """The newest values and the counts."""
        return {"values": {name: list(values) for name, values in self.values.items()}, "counts": dict(self.counts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        for name in self.names:
            self.values[name].extend(state_dict["values"].get(name, []))
            self.counts[name] = state_dict["counts"].get(name, 0)

    def faults(self) -> dict[str, int]:
        """Steps that were flagged, by number, the same on every rank."""
        return {f"spikes/{name.removeprefix('train/')}": count for name, count in self.counts.items() if count}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Compare the numbers of an optimizer step with those before it."""
        if not between_optimizer_steps(trainer):
            return
        logged = trainer.callback_metrics
        own = [float(logged.get(name, math.nan)) for name in self.names]
        means = mean_over_ranks(torch.tensor(own, device=pl_module.device)).tolist()
        for name, value in zip(self.names, means, strict=True):
            if math.isfinite(value):
                self._compare(trainer, name, value)
        flags = {f"train/{name}": float(count) for name, count in self.faults().items()}
        if flags:
            pl_module.log_dict(flags, batch_size=1)

    def _compare(self, trainer: Trainer, name: str, value: float) -> None:
        values = self.values[name]
        usual = median(values) if len(values) >= self.warmup else math.inf
        values.append(value)
        if value > self.factor * usual > 0:
            self.counts[name] += 1
            if self.counts[name] == 1:
                rank_zero_warn(
                    f"{name} is {value:.3g} at step {trainer.global_step}, {value / usual:.0f} times its running "
                    f"median. Steps above {self.factor:g} times are counted from now on, in train/spikes."
                )

"""A progress bar for reinforcement."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import BarColumn

_SHOWN = {
    "train/reward": "reward",
    "train/loss": "loss",
    "time/rollout": "rollout s",
    "time/reward": "reward s",
    "time/reference": "reference s",
    "time/update": "update s",
}
_NARROW = ("reward", "loss")
"""What a line of 80 columns has room for."""
WIDE = 130
"""Columns from which all is shown."""
BAR = 8
"""Columns of the bar itself."""


class RewardProgressBar(RichProgressBar):
    """Lightning's rich bar, on one line: the optimizer step out of all of the run, and the newest reward.

    Where there is room, it has the seconds too that each phase of the last step took.
    """

    @property
    def steps(self) -> int | None:
        """Optimizer steps of the whole run; ``None`` where it ends by time or by hand."""
        steps = self.trainer.estimated_stepping_batches
        return int(steps) if steps not in (-1, float("inf")) else None

    @property
    def total_train_batches(self) -> int | float:
        """Lightning asks for the batches of an epoch, and begins anew with each."""
        return super().total_train_batches if self.steps is None else self.steps

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Lightning's, with a bar that leaves room for the numbers."""
        columns = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = BAR
        return columns

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Choose what the bar shows."""
        metrics = trainer.callback_metrics
        names = {name: short for name, short in _SHOWN.items() if short in _NARROW or self._width() >= WIDE}
        return {short: f"{float(metrics[name]):.3f}" for name, short in names.items() if name in metrics}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on where the epoch before ended."""
        super().on_train_epoch_start(trainer, pl_module)
        self._update(self.train_progress_bar_id, 0)

    def _width(self) -> int:
        return WIDE if self._console is None else self._console.width

    def _get_train_description(self, current_epoch: int) -> str:
        """Lightning would name the epoch."""
        return "step" if self.steps is not None else super()._get_train_description(current_epoch).replace("/-2", "  ")

    def _update(self, progress_bar_id: Any, current: int, visible: bool = True, hard: bool = False) -> None:
        """Lightning counts the batches of the epoch."""
        trains = progress_bar_id is not None and progress_bar_id == self.train_progress_bar_id
        if trains and self.steps is not None:
            current = self.trainer.global_step
        super()._update(progress_bar_id, current, visible, hard)

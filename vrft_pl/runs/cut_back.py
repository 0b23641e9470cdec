"""Records of an earlier process that a run will write again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from vrft_pl.runs.metrics import MetricsLogger, Row
from vrft_pl.runs.tracking import WandbOrOffline


class CutBack(Callback):
    """Cuts the run's ``metrics.csv`` back to the step where training starts or goes on, or has ended already.

    What stays there of earlier processes is handed to W&B, which is not given twice what it has of it already.

    Lightning writes the row of a step after the step's checkpoint, which therefore holds its numbers too, but for those
    that are not known yet, such as the seconds of the update. Until the end of an epoch it repeats in each row what is
    not logged anew; so does a run that goes on.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._repeated: dict[str, float] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep what is logged of the step that is being saved, and whether it makes a row and is repeated."""
        loop = trainer.fit_loop.epoch_loop
        logged = loop._results.metrics(on_step=True)["log"]
        numbers = {name: float(value) for name, value in logged.items() if name.startswith("train/")}
        due = numbers and trainer._logger_connector.should_update_logs
        checkpoint.setdefault("callbacks", {})[self.state_key] = {
            "last": {"epoch": trainer.current_epoch, **numbers} if due else {},
            "repeated": {} if loop.batch_progress.is_last_batch else numbers,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember what was logged of the last step."""
        self._last, self._repeated = dict(state_dict["last"]), dict(state_dict["repeated"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut back when the checkpoint has been read."""
        self._cut_back(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Log what Lightning would repeat; what this step logs takes its place."""
        if self._repeated:
            pl_module.log_dict(self._repeated, batch_size=1)
        self._repeated = {}

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut back where training did not start."""
        self._cut_back(trainer)

    def _cut_back(self, trainer: Trainer) -> None:
        kept: list[Row] = []
        for logger in trainer.loggers:
            if isinstance(logger, MetricsLogger):
                last = self._last if is_own(trainer, logger.folder) else None
                kept = logger.cut_back(trainer.global_step, last) or []
        for logger in trainer.loggers:
            if isinstance(logger, WandbOrOffline):
                logger.fill_in(kept)
        self._last = {}


def is_own(trainer: Trainer, folder: Path) -> bool:
    """Whether a run goes on from a checkpoint of its own, in its folder or where it writes them."""
    if trainer.ckpt_path is None:
        return False
    savers = (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint))
    places = (folder, *(saver.dirpath for saver in savers if saver.dirpath))
    return any(Path(trainer.ckpt_path).resolve().is_relative_to(Path(place).resolve()) for place in places)

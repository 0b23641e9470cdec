"""The validation of a step whose checkpoint was written before it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from vrft_pl.runs import MetricsLogger, WandbOrOffline


class OwedValidation(Callback):
    """Carries out the validation that comes with the step of a checkpoint, where it was written before it.

    Lightning takes that validation for done where a run is resumed: a process that was killed meanwhile would leave a
    run without the records of it. It stands behind the callbacks that cut records back. Where the step was the last it
    needs a trainer that starts all the same, such as `vrft_pl.trainer.base.RunTrainer`.

    Attributes:
        owed: Whether the resumed run still has to validate.
    """

    def __init__(self) -> None:
        self.owed = False
        self._epoch = 0
        self._validated_after = -1

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the micro-batch that it came after."""
        self._validated_after = trainer.fit_loop.epoch_loop.total_batch_idx

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note whether a validation is yet to come."""
        loop = trainer.fit_loop.epoch_loop
        fetcher = trainer.fit_loop._data_fetcher
        due = fetcher is not None and loop._should_check_val_fx(fetcher)
        owed = due and self._validated_after != loop.total_batch_idx
        checkpoint.setdefault("callbacks", {})[self.state_key] = {
            "owed": owed,
            "epoch": trainer.current_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember whether a validation is yet to come."""
        self.owed, self._epoch = state_dict["owed"], state_dict["epoch"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate before training goes on; a row that a killed process has logged of it is written again."""
        if not self.owed:
            return
        with ExitStack() as rows:
            for logger in trainer.loggers:
                if isinstance(logger, MetricsLogger | WandbOrOffline):
                    rows.enter_context(logger.again())
            validate(trainer, self._epoch)
        self.owed = False


def validate(trainer: Trainer, epoch: int) -> None:
    """Validate within ``fit``, as Lightning does after a step.

    Args:
        trainer: The run's trainer.
        epoch: That of the step, which Lightning has ended already where it is resumed after the last step of one.
    """
    progress: Any = trainer.fit_loop.epoch_progress.current
    loop = trainer.fit_loop.epoch_loop.val_loop
    loop.restarting = False  # from its first batch, whichever the checkpoint was written in
    now = progress.processed, progress.completed
    progress.processed = progress.completed = epoch
    trainer.validating = True
    loop.run()
    loop.reset_restart_stage()
    trainer.training = True
    progress.processed, progress.completed = now

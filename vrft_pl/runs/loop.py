"""The loop of training of a run that goes on."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loops.fit_loop import _FitLoop


class RunLoop(_FitLoop):
    """Lightning's loop of training, which also comes to its end where it goes on from the checkpoint of its last step.

    That checkpoint was written before the step, its validation and its epoch had ended. Lightning leaves them so, calls
    no hook of training, and counts what comes after training to the step before.
    """

    @property
    def skip(self) -> bool:
        """Whether there is nothing to do; a run that goes on has at least to end."""
        goes_on = self.is_resuming and self.max_batches > 0 and self.trainer.limit_train_batches > 0
        return super().skip and not goes_on

    def on_run_start(self) -> None:
        """Call the hooks, and end what was the last step already."""
        super().on_run_start()
        if self.is_resuming and self.done:
            self._end()

    def _end(self) -> None:
        epoch: Any = self.epoch_progress.current
        if self.restarted_mid_epoch:
            self.epoch_loop._batches_that_stepped += 1
        if epoch.processed < epoch.started:
            self.on_advance_end()
        epoch.completed = epoch.processed


def install_loop(trainer: Trainer) -> None:
    """Let a trainer train with `RunLoop`."""
    steps = trainer.fit_loop.epoch_loop
    trainer.fit_loop = RunLoop(trainer, trainer.fit_loop.min_epochs, trainer.fit_loop.max_epochs)
    trainer.fit_loop.epoch_loop = steps

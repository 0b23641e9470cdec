"""A run that is told to end saves first."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from vrft_pl.callbacks.checkpoint import StepCheckpoint, between_optimizer_steps
from vrft_pl.distributed import any_rank, queue_again, requeue_signal, world_size

SAVED = "saving at the end of this optimizer step"
"""What comes first while training."""
WHOLE = "finishing what is being evaluated or written"
"""What comes first before and after it."""


class StopOnSignal(Callback):
    """Saves a checkpoint at the end of the optimizer step in which SIGTERM or SIGINT comes, and then ends training.

    All ranks end at the same step when any of them was told to. Ctrl+C after any signal ends at once. So does the
    signal that SLURM announces the end of a job with, and the job is put in the queue again once the checkpoint is
    written. Before and after training it listens within `listening`, and whoever asks `told` ends there.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.stopping = False
        self.queued: bool | None = None
        """Whether SLURM has put the job in its queue again; ``None`` where it was not asked to."""
        self._first = WHOLE

    def asks_to_stop(self, trainer: Trainer) -> bool:
        """Whether the loop that runs should end after this batch, the same on every rank.

        Validation between two steps is finished first, so that a resumed run need not do it again.
        """
        return self.stopping and (trainer.training or trainer.state.fn != TrainerFn.FITTING)

    @contextmanager
    def listening(self, trainer: Trainer) -> Iterator[None]:
        """Listen outside of Lightning's loops too, which put back who listened before them; so does this.

        What came before is forgotten: it ended an earlier run.
        """
        self.signum, self.stopping, self.queued, self._first = None, False, None, WHOLE
        before = {signum: signal.getsignal(signum) for signum in signals(trainer)}
        self._listen(trainer)
        try:
            yield
        finally:
            for signum, handler in before.items():
                set_handler(signum, handler)

    def told(self) -> bool:
        """Whether any rank was told to end. Every rank calls it."""
        return any_rank(self.signum is not None)

    def requeue(self, trainer: Trainer) -> None:
        """Put the job in the queue again, once, if it was SLURM's signal that came to any rank. Every rank calls it."""
        announced = requeue_signal(trainer)
        if self.queued is None and any_rank(announced is not None and self.signum == announced):
            self.signum = announced
            self.queued = not trainer.is_global_zero or queue_again()

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen."""
        self._listen(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen, and save from here on."""
        self._listen(trainer)
        self._first = SAVED

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save no more: the export and an evaluation come after it."""
        self._first = WHOLE

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen during the evaluations before and after training too."""
        self._listen(trainer)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Give up an evaluation before or after training, where no other rank waits for this one."""
        if trainer.state.fn != TrainerFn.FITTING and world_size() == 1:
            self.stopping = self.signum is not None

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Agree with the other ranks at the end of an optimizer step, and save."""
        if between_optimizer_steps(trainer) and self.told():
            self.stopping = True
            _save(trainer)
            self.requeue(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save again with what callbacks have learnt from the validation."""
        if self.stopping and trainer.state.fn == TrainerFn.FITTING:
            _save(trainer)

    def _listen(self, trainer: Trainer) -> None:
        """Take the place of Lightning's handlers, which act in the middle of a step and talk to other ranks at once."""
        for signum in signals(trainer):
            set_handler(signum, self._told)

    def _told(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        if self.signum is None:
            self.signum = signum
            again = "; Ctrl+C again ends at once" if signum == signal.SIGINT else ""
            rank_zero_info(f"Got {signal.Signals(signum).name}: {self._first}, then ending{again}.")


def signals(trainer: Trainer) -> list[signal.Signals]:
    """Those that end a run."""
    announced = requeue_signal(trainer)
    return [signal.SIGTERM, signal.SIGINT] + ([] if announced is None else [announced])


def set_handler(signum: int, handler: Any) -> None:
    """Let a function handle a signal; the main thread alone can."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signum, handler)


def _save(trainer: Trainer) -> None:
    """Save with the first callback that can."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, StepCheckpoint):
            callback.save_now(trainer)
            return

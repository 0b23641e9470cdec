"""Why training ended."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer


def why_ended(trainer: Trainer) -> str:
    """What ended training, in a few words.

    Args:
        trainer: The run's, behind ``fit``.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    early = [c.stopping_reason_message for c in callbacks if isinstance(c, EarlyStopping) and c.stopping_reason_message]
    late = [c for c in callbacks if isinstance(c, Timer) and (left := c.time_remaining()) is not None and left <= 0]
    if not trainer.num_training_batches:
        return "there are no training rows"
    if early:
        return early[0].rstrip(".")
    if late:
        return "`trainer.max_time` is over"
    if trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps:
        return f"`trainer.max_steps` is {trainer.max_steps}"
    if trainer.max_epochs not in (None, -1) and trainer.current_epoch >= (trainer.max_epochs or 0):
        return f"`trainer.max_epochs` is {trainer.max_epochs}"
    return "a callback asked for it (`trainer.should_stop`)"

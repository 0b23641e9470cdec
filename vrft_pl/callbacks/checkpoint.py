"""Checkpoints between optimizer steps."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from vrft_pl.durable import PARTIAL
from vrft_pl.runs import RunFolder
from vrft_pl.runs.checkpoints import WholeCheckpointIO
from vrft_pl.runs.checksums import manifest_of, renew, seal, written_at
from vrft_pl.types import InputError

OF_VALIDATION = "val"
"""How metrics of a validation begin."""
EARLIER = ".earlier"
"""How the name of a checkpoint ends that is of an earlier run in the same folder."""
MOST_NAMED = 8
"""Metrics that a message names."""


def between_optimizer_steps(trainer: Trainer) -> bool:
    """Whether no gradients are accumulated that a checkpoint would lose."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    ready = progress.current.ready
    if progress.current.processed < ready:  # type: ignore[attr-defined]  # an exception within a micro-batch
        return False
    ends = progress.is_last_batch or ready == trainer.num_training_batches
    steps_at_the_end = ends and not trainer.strategy.handles_gradient_accumulation
    return ready % trainer.accumulate_grad_batches == 0 or steps_at_the_end


def validates_within_steps(trainer: Trainer) -> bool:
    """Whether validation by micro-batches comes while gradients are accumulated."""
    every, step, batches = trainer.val_check_batch, trainer.accumulate_grad_batches, trainer.num_training_batches
    if not isinstance(every, int) or every == batches:
        return False
    across_epochs = trainer.check_val_every_n_epoch is None and batches != float("inf")
    return every % step != 0 or (across_epochs and batches % step != 0)


def never_validates(trainer: Trainer) -> bool:
    """Whether training ends before its first validation by micro-batches."""
    every, steps = trainer.val_check_batch, trainer.estimated_stepping_batches
    return isinstance(every, int) and every > steps * trainer.accumulate_grad_batches


class StepCheckpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, which only ever saves between optimizer steps.

    What is due in the middle of one is saved at its end. The checkpoint that a run is resumed from is not written anew:
    Lightning forgets that it saved that step, and would save it again after the first micro-batch, whose gradients no
    checkpoint holds.

    Args:
        dirpath: Where checkpoints are written.
        keep: Checkpoints of the newest steps that stay where no metric decides (``monitor``), so that there is one
            before a damaged one.
        **kwargs: Those of Lightning's ``ModelCheckpoint``.

    Raises:
        ValueError: If ``keep`` is not positive.
        InputError: If ``monitor`` is set: when training starts, where validation comes in the middle of optimizer steps
            (the weights that are saved would not be those that were judged) or never; and as soon as it is known that
            no metric has that name.
    """

    _due = False

    def __init__(self, dirpath: str | Path | None = None, keep: int = 2, **kwargs: Any) -> None:
        super().__init__(dirpath, **kwargs)
        if keep < 1:
            raise ValueError(f"Expected `keep` to be at least 1 checkpoint, but got {keep}.")
        self.keep = keep
        self._kept: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the resumed checkpoint as saved, and do what a process that was killed left to do of it."""
        super().on_train_start(trainer, pl_module)
        self._drop_partial(trainer)
        if trainer.ckpt_path is not None:
            self._last_global_step_saved = trainer.global_step
            self._last_checkpoint_saved = str(trainer.ckpt_path)
            self._finish(trainer, Path(trainer.ckpt_path))
        elif trainer.global_step == 0:
            self._set_aside(trainer)
        if self.monitor is not None and validates_within_steps(trainer):
            raise InputError(
                f"Expected validation after a multiple of {trainer.accumulate_grad_batches} micro-batches "
                "(`accumulate_grad_batches`), because `checkpoint.monitor` saves the weights that were judged, but it "
                f"comes every {trainer.val_check_batch}. Change `val_check_interval`."
            )
        if self.monitor is not None and self.monitor.startswith(OF_VALIDATION) and never_validates(trainer):
            raise InputError(
                f"Expected validation while training, because `checkpoint.monitor` is {self.monitor}, but the run ends "
                "before the first. Set `trainer.val_check_interval`."
            )

    def refuse_unknown(self, names: Collection[str]) -> None:
        """Refuse a metric that decides which checkpoints stay, and that there is not.

        Args:
            names: Those that there are.

        Raises:
            InputError: If `monitor` is not among them.
        """
        if self.monitor is None or self.monitor in names:
            return
        close = get_close_matches(self.monitor, sorted(names), n=1, cutoff=0)
        nearest = f" The nearest is {close[0]}." if close else ""
        kinds = ", ".join(sorted(names)[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
        raise InputError(
            f"Expected `checkpoint.monitor` to be a metric of the run, but got {self.monitor}, and there are "
            f"{kinds or 'none'}.{nearest}"
        )

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Save when it is due and an optimizer step has just ended."""
        if not between_optimizer_steps(trainer):
            return
        if not (self.monitor or "").startswith(OF_VALIDATION):
            self.refuse_unknown(trainer.callback_metrics)
        if self._due:
            self._due = False
            super().on_validation_end(trainer, pl_module)
        super().on_train_batch_end(trainer, pl_module, *args, **kwargs)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after validation, or at the end of the optimizer step that it came in the middle of."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.refuse_unknown(trainer.callback_metrics)
        if between_optimizer_steps(trainer):
            super().on_validation_end(trainer, pl_module)
        else:
            self._due = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """With ``save_on_exception``, save unless gradients would be lost."""
        if between_optimizer_steps(trainer):
            super().on_exception(trainer, pl_module, exception)

    def state_dict(self) -> dict[str, Any]:
        """Which checkpoints there are, that of this moment included."""
        return {**super().state_dict(), "kept": self._newest()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the checkpoints that were there."""
        super().load_state_dict(state_dict)
        if state_dict.get("dirpath") == self.dirpath:
            self._kept = list(state_dict.get("kept", ()))

    def _newest(self) -> list[str]:
        last = self.best_model_path
        return [*(path for path in self._kept if path != last), last] if last else self._kept

    def _save_none_monitor_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        """Save, and remove what is older than the newest ones that stay."""
        super()._save_none_monitor_checkpoint(trainer, monitor_candidates)
        self._kept = self._newest()
        self._remove_older(trainer)

    def _finish(self, trainer: Trainer, resumed: Path) -> None:
        """Write the manifest of a checkpoint that has none yet, and remove those that it takes the place of.

        One that is older than others, which the user has gone back to, becomes the newest.
        """
        own = self.dirpath is not None and resumed.parent == Path(self.dirpath)
        sealed = isinstance(trainer.strategy.checkpoint_io, WholeCheckpointIO)
        if own and sealed and trainer.is_global_zero and resumed.exists() and not manifest_of(resumed).exists():
            seal(resumed)
        others = resumed.parent.glob(f"*{self.FILE_EXTENSION}") if own and trainer.is_global_zero else ()
        if any(written_at(other) > written_at(resumed) for other in others):
            renew(resumed)
        self._remove_older(trainer)

    def _own_place(self, trainer: Trainer) -> Path | None:
        """Where no other run writes checkpoints; ``None`` elsewhere, and on all ranks but the first. All call it."""
        folder = RunFolder.of(trainer).path.resolve()
        place = Path(self.dirpath or folder).resolve()
        return place if trainer.is_global_zero and place.is_relative_to(folder) else None

    def _drop_partial(self, trainer: Trainer) -> None:
        """Remove what a process that was killed had written of a checkpoint, which no other is written over."""
        if (place := self._own_place(trainer)) is not None:
            for path in place.glob(f".*{self.FILE_EXTENSION}*{PARTIAL}"):
                path.unlink(missing_ok=True)

    def _set_aside(self, trainer: Trainer) -> None:
        """Rename the checkpoints of an earlier run in the folder of one that starts anew, whose they would pass for."""
        if (place := self._own_place(trainer)) is None:
            return
        for path in place.glob(f"*{self.FILE_EXTENSION}"):
            manifest_of(path).unlink(missing_ok=True)
            kept = path.with_name(path.name + EARLIER)
            shutil.rmtree(kept, ignore_errors=True)  # a folder of a sharded strategy
            path.replace(kept)

    def _remove_older(self, trainer: Trainer) -> None:
        while self.save_top_k == 1 and len(self._kept) > self.keep:
            self._remove_checkpoint(trainer, self._kept.pop(0))

    def _should_remove_checkpoint(self, trainer: Trainer, previous: str, current: str) -> bool:
        """Lightning's own choice holds where a metric decides."""
        return self.monitor is not None and super()._should_remove_checkpoint(trainer, previous, current)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Write the manifest too where a sharded strategy writes a folder."""
        super()._save_checkpoint(trainer, filepath)
        if trainer.is_global_zero and Path(filepath).is_dir():
            seal(Path(filepath))

    def _remove_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Remove the manifest too."""
        super()._remove_checkpoint(trainer, filepath)
        if trainer.is_global_zero:
            manifest_of(Path(filepath)).unlink(missing_ok=True)

    def save_now(self, trainer: Trainer) -> None:
        """Save the step that has just ended, whatever the schedule says. Every rank calls it.

        It takes the place of a scheduled checkpoint; where a metric decides which are kept, it is ``last.ckpt``.
        """
        candidates = self._monitor_candidates(trainer)
        if self.monitor is None and self.save_top_k != 0:
            self._save_topk_checkpoint(trainer, candidates)
        else:
            self._save_checkpoint(trainer, self.format_checkpoint_name(candidates, self.CHECKPOINT_NAME_LAST))

"""The callbacks of every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.utilities.model_helpers import is_overridden
from rich import get_console

from vrft_pl.callbacks import (
    CompletionRecorder,
    CostMeter,
    HFExport,
    NonFiniteGuard,
    OwedValidation,
    PredictionWriter,
    ProgressLines,
    RankWatchdog,
    RewardProgressBar,
    SpikeFlag,
    StepCheckpoint,
    StopOnSignal,
    ValSubset,
)
from vrft_pl.runs import CutBack, RunFolder

OF_EVERY_RUN = {
    "completions": CompletionRecorder,
    "predictions": PredictionWriter,
    "val_subset": ValSubset,
    "export": HFExport,
    "checkpoint": StepCheckpoint,
    "watchdog": RankWatchdog,
    "guard": NonFiniteGuard,
    "spikes": SpikeFlag,
}
"""Callbacks of every run, by the section of the config that each has."""
OF_TRAINING = (CutBack, OwedValidation, StopOnSignal)
"""Those of every training run, which have no options: records are cut back on resuming, a validation that a kill broke
off is done again, and a signal saves."""
SAVE_EVERY = 50
"""Optimizer steps between two checkpoints, unless the config says when."""
CHECKPOINTS: dict[str, Any] = {"mode": "max", "filename": "{step}", "enable_version_counter": False}
"""Likewise of the callback that saves; a resumed run writes over, and not beside."""


def all_callbacks(folder: RunFolder, given: Sequence[Callback], options: Mapping[str, Any]) -> list[Callback]:
    """Callbacks that are given, and those of every run with their defaults where none of their class is.

    Args:
        folder: Folder of the run.
        given: The user's.
        options: Those of the trainer.
    """
    saver = StepCheckpoint(folder.checkpoints, every_n_train_steps=SAVE_EVERY, **CHECKPOINTS)
    own = [saver, *(kind() for kind in OF_EVERY_RUN.values() if kind is not StepCheckpoint)]
    own = [*own, *(kind() for kind in OF_TRAINING)]
    own = [callback for callback in own if not any(isinstance(other, type(callback)) for other in given)]
    return counted(together(given, own, options.get("enable_checkpointing"), options.get("enable_progress_bar")))


def together(
    given: Sequence[Callback], own: Sequence[Callback], saves: bool | None, shows_progress: bool | None
) -> list[Callback]:
    """Callbacks of the user's and of every run, and a progress bar unless the user has one or wants none.

    Args:
        given: The user's.
        own: Those of the run.
        saves: Whether checkpoints are written; where not, those of the run that write them are left out.
        shows_progress: Whether there is a bar.
    """
    kept = [c for c in own if saves is not False or not isinstance(c, ModelCheckpoint)]
    bars = [] if shows_progress is False or any(isinstance(c, ProgressBar) for c in given) else [progress()]
    return [*given, *kept, *bars]


def counted(callbacks: Sequence[Callback]) -> list[Callback]:
    """Callbacks behind one that counts what they take, which may be among them."""
    meter = next((callback for callback in callbacks if isinstance(callback, CostMeter)), CostMeter())
    return [meter, *(callback for callback in callbacks if callback is not meter)]


def refuse_equal(callbacks: Sequence[Callback]) -> None:
    """Refuse callbacks whose states a checkpoint could not tell apart.

    Raises:
        ValueError: If two of them keep a state under the same name.
    """
    seen: set[str] = set()
    for callback in callbacks:
        if not is_overridden("state_dict", callback, parent=Callback):
            continue
        if callback.state_key in seen:
            kind, saves = type(callback).__name__, isinstance(callback, ModelCheckpoint)
            raise ValueError(
                f"Expected one {kind}{' of the same triggers and monitor' if saves else ''}, whose state a checkpoint "
                f"keeps by its name, but got two. Leave one out{of_every_run(callback)}."
            )
        seen.add(callback.state_key)


def of_every_run(callback: Callback) -> str:
    """Where the options of a callback are that every run has."""
    sections = (name for name, kind in OF_EVERY_RUN.items() if type(callback) is kind)
    return "".join(f": every run has one, with the options of `{name}`" for name in sections)


def progress() -> ProgressBar:
    """A bar in a terminal or a notebook, and lines of text in a file."""
    console = get_console()
    return RewardProgressBar() if console.is_terminal or console.is_jupyter else ProgressLines()

"""A run in Python: what ``vrft_pl fit``, ``validate``, ``test`` and ``predict`` do, without the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.loggers import Logger

from vrft_pl.callbacks import StepCheckpoint
from vrft_pl.runs import RunFolder, with_metrics
from vrft_pl.trainer.base import TRAINER_DEFAULTS, RunTrainer
from vrft_pl.trainer.callbacks import CHECKPOINTS, OF_EVERY_RUN, OF_TRAINING, SAVE_EVERY, counted, together
from vrft_pl.trainer.plan import code
from vrft_pl.trainer.quiet import quieten


class Trainer(RunTrainer):
    """Lightning's trainer with the defaults of ``vrft_pl fit``, its records, guards and export.

    It ends with the same numbers as the command where all seeds are the same: that of ``seed_everything``, and ``seed``
    of the module and of the data.

    Args:
        folder: Folder of the run.
        logger: Loggers beside ``metrics.csv`` of the folder.
        callbacks: Callbacks beside those of every run, or in place of the one of the same class: `CompletionRecorder`,
            `PredictionWriter`, `ValSubset`, `HFExport`, `StepCheckpoint`, `RankWatchdog`, `NonFiniteGuard`,
            `SpikeFlag`.
        **kwargs: Those of Lightning's ``Trainer``.

    Raises:
        InputError: If the processes of the run can't find each other, or what stands in its folder is in the way.
    """

    def __init__(
        self,
        folder: str | Path,
        logger: Logger | Sequence[Logger] = (),
        callbacks: Sequence[Callback] = (),
        **kwargs: Any,
    ) -> None:
        quieten()
        run_folder = RunFolder(folder)
        run_folder.refuse_others()
        super().__init__(
            default_root_dir=str(folder),
            logger=with_metrics(run_folder.path, logger),
            callbacks=all_callbacks(run_folder, callbacks, kwargs),
            **{**TRAINER_DEFAULTS, **kwargs},
        )
        self.keep_in(run_folder, code)

    def fit(self, model: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Train; the arguments are those of Lightning's ``Trainer.fit``.

        Raises:
            InputError: If the strategy, or what callbacks ask of the module, does not allow it.
        """
        self.refuse(model)
        super().fit(model, *args, **kwargs)


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

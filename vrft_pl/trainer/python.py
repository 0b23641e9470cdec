"""A run in Python: what ``vrft_pl fit``, ``validate``, ``test`` and ``predict`` do, without the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.loggers import Logger

from vrft_pl.callbacks import CostMeter, OwedValidation, RankWatchdog, StepCheckpoint, StopOnSignal
from vrft_pl.distributed import Facts, launch_refusals
from vrft_pl.runs import CutBack, RunFolder, install_checkpoint_io, with_metrics
from vrft_pl.runs.manifest import versions
from vrft_pl.source import SOURCE
from vrft_pl.trainer.base import TRAINER_DEFAULTS, RunTrainer
from vrft_pl.trainer.callbacks import CHECKPOINTS, OF_EVERY_RUN, SAVE_EVERY, together
from vrft_pl.trainer.quiet import quieten
from vrft_pl.types import InputError


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
        self.run_folder = run_folder
        for refusal in launch_refusals(self.strategy):
            raise InputError(refusal)
        install_checkpoint_io(self)
        for callback in self.callbacks:  # type: ignore[attr-defined]  # set by a connector
            if isinstance(callback, RankWatchdog):
                callback.install(self, code)

    def fit(self, model: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Train; the arguments are those of Lightning's ``Trainer.fit``.

        Raises:
            InputError: If the strategy, or what callbacks ask of the module, does not allow it.
        """
        self.refuse(model)
        super().fit(model, *args, **kwargs)

    def evaluate(
        self, model: LightningModule, data: LightningDataModule, split: Literal["val", "test"] = "val"
    ) -> dict[str, float]:
        """Let the policy write on held-out samples.

        Args:
            model: Holds the policy and the metrics.
            data: The samples.
            split: ``val`` or ``test``.

        Returns:
            Every score by its logged name.
        """
        evaluate = {"val": self.validate, "test": self.test}[split]
        return {name: score for part in evaluate(model, data, verbose=False) for name, score in part.items()}


def all_callbacks(folder: RunFolder, given: Sequence[Callback], options: Mapping[str, Any]) -> list[Callback]:
    """Callbacks that are given, and those of every run with their defaults where none of their class is.

    Args:
        folder: Folder of the run.
        given: The user's.
        options: Those of the trainer.
    """
    saver = StepCheckpoint(folder.checkpoints, every_n_train_steps=SAVE_EVERY, **CHECKPOINTS)
    own = [saver, *(kind() for kind in OF_EVERY_RUN.values() if kind is not StepCheckpoint)]
    own = [*own, CutBack(), OwedValidation(), StopOnSignal()]
    own = [callback for callback in own if not any(isinstance(other, type(callback)) for other in given)]
    meter = [] if any(isinstance(other, CostMeter) for other in given) else [CostMeter()]
    return [*meter, *together(given, own, options.get("enable_checkpointing"), options.get("enable_progress_bar"))]


def code() -> Facts:
    """What has to be the same on every rank: versions of packages, and this package's code."""
    return {**versions(), "code of vrft_pl": SOURCE[:12]}

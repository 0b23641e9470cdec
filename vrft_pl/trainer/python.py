"""A run in Python: what ``vrft_pl fit``, ``validate``, ``test`` and ``predict`` do, without the command line."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import yaml
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vrft_pl.callbacks import RankWatchdog
from vrft_pl.distributed import Facts
from vrft_pl.runs import RunFolder, as_config, with_metrics
from vrft_pl.trainer.base import TRAINER_DEFAULTS, RunTrainer
from vrft_pl.trainer.callbacks import OF_EVERY_RUN, all_callbacks
from vrft_pl.trainer.plan import code, training_facts
from vrft_pl.trainer.quiet import quieten
from vrft_pl.trainer.resuming import flat, last, tell_of_unfinished, where_to_go_on
from vrft_pl.trainer.run import Summary, TrainingRun
from vrft_pl.trainer.start import claimed, note_end, write_start
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

    run_folder: RunFolder

    def __init__(
        self,
        folder: str | Path,
        logger: Logger | Sequence[Logger] | Literal[False] | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        **kwargs: Any,
    ) -> None:
        quieten()
        run_folder = RunFolder(folder)
        run_folder.refuse_others()
        self.options = {**TRAINER_DEFAULTS, **kwargs}
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
        self._given_callbacks, self._given_loggers = given, logger or ()
        self._told: Facts = {}
        super().__init__(
            default_root_dir=str(folder),
            logger=with_metrics(run_folder.path, self._given_loggers),
            callbacks=all_callbacks(run_folder, given, kwargs),
            **self.options,
        )
        self.keep_in(run_folder, lambda: {**code(), **self._told})
        atexit.register(self.callback(RankWatchdog).stop)  # a thread that still watches aborts the process as it ends

    def run(
        self,
        model: LightningModule,
        data: LightningDataModule,
        resume: bool = False,
        ckpt_path: str | Path | None = None,
        evaluate_before: bool = True,
        evaluate_after: bool = True,
        constants: bool = True,
        **kwargs: Any,
    ) -> Summary:
        """Do what ``vrft_pl fit`` does and leave what it leaves: evaluate, train, evaluate, write and print scores.

        Args:
            model: Holds the policy, the rewards and the metrics.
            data: The samples.
            resume: Go on from the newest whole checkpoint of the folder, or from the beginning where there is none; of
                a run that is finished the summary is returned.
            ckpt_path: A checkpoint to go on from, whatever has changed since; ``last`` is the newest whole one.
            evaluate_before: Evaluate the policy before training.
            evaluate_after: Evaluate the policy after training.
            constants: Judge the best constant answer of the training rows beside the policy.
            **kwargs: Those of Lightning's ``Trainer.fit``.

        Returns:
            What came of it.

        Raises:
            InputError: If the folder holds a finished run that is not to be resumed, or another one than this; if this
                trainer has trained already, or the module has where a run goes on; if the strategy, or what callbacks
                ask of the module, does not allow to train; if an input is wrong, or the export can't be pushed.
            SIGTERMException: If the process is told to end, which it does with 128 + the signal's number where nobody
                catches it; the checkpoint of the last step is written by then.
        """
        folder, seen = self.run_folder, self.run_folder.progress()
        if folder.finished:
            return self._finished(resume)
        self._refuse_trained(model, resume or ckpt_path is not None)
        self.refuse(model)
        measured = {"evaluate_before": evaluate_before, "evaluate_after": evaluate_after, "constants": constants}
        kwargs["ckpt_path"] = self._checkpoint(resume, ckpt_path)
        config = self.config(model, data) | {"run": {"folder": str(folder), **measured}, **as_config(kwargs)}
        run = TrainingRun(self, model, data, **measured, **kwargs)
        with ExitStack() as stack:

            def start() -> None:
                if self.is_global_zero:
                    stack.enter_context(claimed(folder, seen))
                self._told = {**flat(config), **training_facts(self, model, data)}
                command, text = ["python", *sys.argv], yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
                write_start(self, "fit", command, text, data, resume)

            try:
                summary = run.carry_out(start)
            except SIGTERMException as stopped:
                stopped.code = self._exit_code(run.stop.signum or signal.SIGTERM)
                raise
            note_end(self, model, folder)
        run.push()
        return summary

    def fit(self, model: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Train; the arguments are those of Lightning's ``Trainer.fit``.

        Raises:
            InputError: If the strategy, or what callbacks ask of the module, does not allow it.
        """
        self.refuse(model)
        super().fit(model, *args, **kwargs)

    def config(self, model: LightningModule, data: LightningDataModule) -> dict[str, Any]:
        """What a config says of these objects, as far as they know it themselves; see `vrft_pl.runs.as_config`."""
        callbacks: list[Callback] = self.callbacks  # type: ignore[attr-defined]  # set by a connector
        seed = os.environ.get("PL_GLOBAL_SEED")
        own = {name: c for name, kind in OF_EVERY_RUN.items() for c in callbacks if type(c) is kind}
        others = [callback for callback in self._given_callbacks if callback not in own.values()]
        return {
            "seed_everything": None if seed is None else int(seed),
            "trainer": as_config({**self.options, "callbacks": others or None, "logger": self._given_loggers or None}),
            "model": as_config(model),
            "data": as_config(data),
            **{name: as_config(callback)["init_args"] for name, callback in own.items()},
        }

    def _refuse_trained(self, model: LightningModule, goes_on: bool) -> None:
        """Refuse objects that hold steps of a run that broke off: the scores before training would be those after them.

        Raises:
            InputError: If this trainer has trained, or the module has where a run goes on.
        """
        for name, trainer in {"trainer": self, "module": model._trainer if goes_on else None}.items():
            if trainer is not None and (steps := trainer.global_step):
                raise InputError(
                    f"Expected a {name} that has not trained yet, but this one has done {steps} steps. Make trainer, "
                    "module and data anew; `resume=True` goes on from the newest checkpoint."
                )

    def _finished(self, resume: bool) -> Summary:
        """What came of the run that the folder holds, for whoever would go on with it."""
        if not resume:
            raise InputError(
                f"Expected `folder` to be new, but {self.run_folder} holds a finished run. Name another one, or ask "
                "for its summary by `resume=True`."
            )
        rank_zero_info(f"The run in {self.run_folder} is finished: nothing is left to do.")
        return Summary.of(self.run_folder)

    def _exit_code(self, signum: int) -> int:
        """That of the command; beside the first process 0, since Lightning kills all where one has another."""
        rank_zero_info(f"Ended by {signal.Signals(signum).name} after step {self.global_step}. `resume=True` goes on.")
        return 128 + signum if self.is_global_zero else 0

    def _checkpoint(self, resume: bool, named: str | Path | None) -> str | None:
        """The checkpoint to go on from."""
        if resume and named is not None:
            raise InputError("Expected `resume` or `ckpt_path`, but got both. Leave one of them out.")
        if resume:
            return where_to_go_on(self.run_folder)
        if named is None:
            tell_of_unfinished(self.run_folder, "resume=True")
            return None
        return last(self.run_folder) if named == "last" else str(named)

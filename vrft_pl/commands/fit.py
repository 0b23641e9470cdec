"""``vrft_pl fit``: train a policy, evaluate it before and after."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from vrft_pl.callbacks import PredictionWriter, StopOnSignal
from vrft_pl.commands.cli import RunCLI
from vrft_pl.commands.errors import fail
from vrft_pl.distributed import Facts
from vrft_pl.runs import RunFolder, run_loggers, tracking, with_metrics
from vrft_pl.trainer.base import RunTrainer
from vrft_pl.trainer.callbacks import OF_TRAINING, counted
from vrft_pl.trainer.plan import training_facts
from vrft_pl.trainer.resuming import latest_unfinished, tell_of_unfinished, where_to_go_on
from vrft_pl.trainer.run import TrainingRun
from vrft_pl.types import InputError

QUEUED = {
    None: "",
    True: " The job is in the queue again.",
    False: " `scontrol requeue` put the job in no queue: submit it again.",
}
"""What is said of a job that SLURM ends, by whether it has taken it again."""


def main(args: Sequence[str]) -> None:
    """Train, and write ``summary.json`` with the scores before and after."""
    cli = FitCLI("fit", args)
    with cli.running():
        run = cli.fit()
    run.push()  # a failure ends no run any more


class FitCLI(RunCLI):
    """Adds what only training needs: loggers, stopping on a signal, cutting records back."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what only training needs."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--resume",
            action="store_true",
            help="Go on from the newest whole checkpoint of the run in `run.folder`, or of the newest unfinished run "
            "of this config and seed; start from the beginning where there is none, and do nothing if it is finished.",
        )

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint to go on from, unless one is named already."""
        if self.config.resume and self.config.get("ckpt_path") is not None:
            fail("Expected `--resume` or `--ckpt_path`, but got both. Leave one of them out.", 2)
        super().before_instantiate_classes()
        if self.config.resume:
            self.config.ckpt_path = where_to_go_on(self.folder)

    def choose_folder(self) -> Path:
        """Where the run is that wrote the checkpoint to go on from, unless another folder is named.

        Raises:
            InputError: If that run is finished, and nobody asked to go on with whatever is there.
            SystemExit: With 0, if it is and somebody did, as a job does that is put in the queue again.
        """
        checkpoint = self.config.get("ckpt_path")
        if self.config.resume and self.options.folder is not None and RunFolder(self.options.folder).finished:
            rank_zero_only(print)(f"The run in {self.options.folder} is finished: nothing is left to do.")
            sys.exit(0)
        if self.config.resume and self.options.folder is None:
            new = super().choose_folder()
            return latest_unfinished(new.parent, self.config.seed_everything) or new
        if self.options.folder is None and checkpoint not in (None, "last"):
            if (folder := RunFolder.holding(checkpoint)) is None:
                rank_zero_info(f"{checkpoint} lies in the folder of no run: this one begins its records in a new one.")
            elif folder.finished:
                raise InputError(
                    f"Expected `ckpt_path` to be of a run that is not finished, but {folder} holds a finished one. "
                    "Name a new folder for what comes after it with `--run.folder`."
                )
            else:
                return folder.path
        folder = RunFolder(super().choose_folder())
        if checkpoint is None and not self.config.resume:
            tell_of_unfinished(folder, "--resume")
        return folder.path

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer, unless nothing can be trained with it."""
        trainer = super().instantiate_trainer(**kwargs)
        assert isinstance(trainer, RunTrainer)
        trainer.refuse(self.model)
        return trainer

    def facts(self) -> Facts:
        """The rows that are trained on too, their order, and the number of steps."""
        return {**super().facts(), **training_facts(self.trainer, self.model, self.datamodule)}

    def logger(self) -> Any:
        """A CSV file, and the config's beside it or W&B; none where the config wants none."""
        given = self.config_init.trainer.logger
        if given in (None, True):
            run, checkpoint = self.options, self.config.get("ckpt_path")
            goes_on = self.config.resume or (checkpoint is not None and RunFolder.holding(checkpoint) is not None)
            folder = self.folder.path
            return run_loggers(folder, run.wandb, run.project, run.group, run.job_type, run.tags, goes_on)
        return with_metrics(self.folder.path, given) if given else given

    def callbacks(self) -> list[Callback]:
        """Without the writer of predictions, unless it is to write in a training run too; first, one that counts."""
        return counted([c for c in super().callbacks() if not isinstance(c, PredictionWriter) or c.in_fit])

    def extra_callbacks(self) -> list[Callback]:
        """Those of a training run."""
        return [kind() for kind in OF_TRAINING]

    def fit(self) -> TrainingRun:
        """Carry the run out."""
        data, options = self.datamodule, self.options
        measured = (options.evaluate_before, options.evaluate_after, options.constants)
        run = TrainingRun(self.trainer, self.model, data, *measured, **self.method_kwargs)
        run.carry_out(self.start)
        if self.trainer.is_global_zero:
            tracking.finish()  # last: it waits for what is yet to be uploaded
        return run

    def stopped_by(self) -> tuple[signal.Signals, str]:
        """The signal that came, the checkpoint that was saved, and whether the job is in SLURM's queue again."""
        stop = self.trainer.callback(StopOnSignal)
        advice = QUEUED[stop.queued]
        if newest := self.folder.newest_checkpoint():
            advice += f" Newest checkpoint: {newest}."
            advice += f" Go on with the same command and `--run.folder {self.folder} --resume`."
        return signal.Signals(stop.signum or signal.SIGTERM), advice

"""``vrft_pl fit``: train a policy, evaluate it before and after."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vrft_pl.callbacks import CostMeter, HFExport, OwedValidation, PredictionWriter, StopOnSignal
from vrft_pl.callbacks.checkpoint import OF_VALIDATION, StepCheckpoint
from vrft_pl.commands.cli import RunCLI
from vrft_pl.commands.errors import fail
from vrft_pl.trainer.resuming import flat, latest_unfinished, refuse_changes, where_to_go_on
from vrft_pl.trainer.tables import fault_lines, print_summary
from vrft_pl.data import SampleData
from vrft_pl.distributed import Facts
from vrft_pl.modules import PolicyModule
from vrft_pl.runs import CutBack, RunFolder, hub, run_loggers, tracking, with_metrics
from vrft_pl.runs.manifest import data_ids
from vrft_pl.trainer.base import RunTrainer
from vrft_pl.trainer.constants import warnings_of
from vrft_pl.trainer.ended import why_ended
from vrft_pl.trainer.plan import training_plan
from vrft_pl.trainer.scores import Scores, finite
from vrft_pl.trainer.unjudged import refuse_unjudged
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
        cli.fit()
    cli.push()  # a failure ends no run any more


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
        if checkpoint is None and not self.config.resume and folder.started and folder.newest_checkpoint():
            rank_zero_info(
                f"{folder} holds a run that is not finished; it starts anew, and its checkpoints so far are kept as "
                "*.ckpt.earlier. `--resume` goes on."
            )
        return folder.path

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer, unless nothing can be trained with it."""
        trainer = super().instantiate_trainer(**kwargs)
        assert isinstance(trainer, RunTrainer)
        trainer.refuse(self.model)
        return trainer

    def facts(self) -> Facts:
        """The rows that are trained on too, their order, and the number of steps."""
        rows = {
            f"{name} of {key}": v
            for key, part in data_ids(self.datamodule, ("train",)).items()
            for name, v in part.items()
        }
        plan = training_plan(self.datamodule, self.trainer, getattr(self.model, "num_iterations", 1))
        return {**super().facts(), **rows, **plan}

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
        callbacks = [c for c in super().callbacks() if not isinstance(c, PredictionWriter) or c.in_fit]
        self.cost = next((c for c in callbacks if isinstance(c, CostMeter)), CostMeter())
        return [self.cost, *(c for c in callbacks if c is not self.cost)]

    def extra_callbacks(self, given: list[Callback]) -> list[Callback]:
        """Records are cut back on resuming, a validation that a kill broke off is done again, and a signal saves."""
        self.stop = StopOnSignal()
        return [CutBack(), OwedValidation(), self.stop]

    def fit(self) -> None:
        """Check the data, evaluate the policy as it is, train it, evaluate it again and say what came of it."""
        start = time.perf_counter()
        self.datamodule.setup("fit")
        refuse_unjudged(self.model, self.datamodule)
        if self.config.resume:
            resolved = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))
            refuse_changes(self.folder, flat(resolved), data_ids(self.datamodule, ("train", "val")))
        self.start()
        self.describe_data()
        with self.stop.listening(self.trainer):
            before, after = self.train()
            seconds, cost = time.perf_counter() - start, self.cost.summary(self.trainer)
            faults, spent = self.faults(), self.model.spent() if isinstance(self.model, PolicyModule) else {}
            if self.trainer.is_global_zero:
                self.summarize(before, after, seconds, cost | ({"rewards": spent} if spent else {}), faults)
        if self.trainer.is_global_zero:
            tracking.finish()  # last: it waits for what is yet to be uploaded

    def train(self) -> tuple[Scores, Scores]:
        """Scores before and after training.

        Raises:
            SIGTERMException: If the process was told to end.
        """
        before = self.evaluate() if self.options.evaluate_before else {}
        self.end_if_told()
        saver: StepCheckpoint = self.config_init.checkpoint
        if before and (saver.monitor or "").startswith(OF_VALIDATION):
            saver.refuse_unknown(before)
        self.trainer.fit(self.model, datamodule=self.datamodule, **self.method_kwargs)
        self.end_if_told()
        rank_zero_info(f"Training ended after step {self.trainer.global_step}: {why_ended(self.trainer)}.")
        self.describe_data()  # rows of a stream are left out while they are read
        after = self.evaluate() if self.options.evaluate_after else {}
        self.end_if_told()
        return before, after

    def end_if_told(self) -> None:
        """End where no loop of Lightning runs that would."""
        if self.stop.told():
            raise SIGTERMException

    def push(self) -> None:
        """Push the export to the hub, where that is asked for.

        Raises:
            InputError: If it can't be pushed.
        """
        export: HFExport = self.config_init.export
        if export.push_to_hub is not None and self.trainer.is_global_zero:
            print(f"Pushed: {hub.push(self.folder, export.push_to_hub, export.private)}")

    def faults(self) -> dict[str, int]:
        """How often something failed that did not end the run, by name, on all ranks."""
        of_module = self.model.faults() if isinstance(self.model, PolicyModule) else {}
        return of_module | self.config_init.guard.faults() | self.config_init.spikes.faults()

    def summarize(
        self, before: Scores, after: Scores, seconds: float, cost: dict[str, Any], faults: dict[str, int]
    ) -> None:
        """Write and print the scores, with those of constant answers beside them, and what failed on the way."""
        scores = after or before
        constants = self.constants("val", scores)
        constant = constants.flat("val")
        summary = {"before": finite(before), "after": finite(after), "constant": finite(constant)}
        failed = {"faults": faults} if faults else {}
        self.folder.write(RunFolder.SUMMARY, summary | {"seconds": round(seconds, 1), "cost": cost} | failed)
        told = [*fault_lines(faults), *warnings_of(constants, "val", scores)]
        print_summary(self.folder, before, after, seconds, constant, told)

    def evaluate(self) -> dict[str, float]:
        """Scores on the validation splits."""
        if not self.datamodule.val_dataloader():
            return {}
        scores = self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
        return {name: value for part in scores for name, value in part.items()}

    def describe_data(self) -> None:
        """Write the ids of rows that were drawn from larger sources, and the rows that were left out."""
        task = self.datamodule
        if not isinstance(task, SampleData) or not self.trainer.is_global_zero:
            return
        for name, rows in ((RunFolder.CHOSEN, task.chosen()), (RunFolder.SKIPPED, task.skipped)):
            if rows:
                self.folder.write(name, rows)

    def stopped_by(self) -> tuple[signal.Signals, str]:
        """The signal that came, the checkpoint that was saved, and whether the job is in SLURM's queue again."""
        self.stop.requeue(self.trainer)
        advice = QUEUED[self.stop.queued]
        if newest := self.folder.newest_checkpoint():
            advice += f" Newest checkpoint: {newest}."
            advice += f" Go on with the same command and `--run.folder {self.folder} --resume`."
        return signal.Signals(self.stop.signum or signal.SIGTERM), advice

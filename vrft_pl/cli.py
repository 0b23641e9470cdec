"""The command line on LightningCLI: typed signatures are the schema, and every mistake is one line."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Optional, Union

import transformers
import wandb
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from vrft_pl.callbacks import (
    CompletionRecorder,
    HFExport,
    PredictionWriter,
    RewardProgressBar,
    StepCheckpoint,
    StopOnSignal,
)
from vrft_pl.check import CheckOptions, CheckTrainer, Plan, check_run
from vrft_pl.data import SampleData
from vrft_pl.distributed import data_share, in_order
from vrft_pl.run import (
    RunOptions,
    print_scores,
    print_summary,
    run_folder,
    run_loggers,
    write_json,
    write_rows,
    write_scores,
    write_summary,
)
from vrft_pl.runs import CutBack, checkpoint_folders, install_checkpoint_io, last_checkpoint, newest_checkpoint
from vrft_pl.types import InputError

SAVE_EVERY = 50
"""Optimizer steps between two checkpoints, unless the config says when."""


def whole_numbers_first(parser: LightningArgumentParser) -> None:
    """Make ``limit_*: 1`` one batch, and not 1.0, which is all of them.

    ``typing`` takes ``Union[int, float]`` and ``Union[float, int]`` for equal and may hand Lightning's signature the
    order that another package wrote first; the parser then tries float before int.
    """
    for action in parser._actions:
        if getattr(action, "_typehint", None) == Optional[Union[int, float]]:  # noqa: UP007, UP045
            action._typehint = int | float | None  # type: ignore[attr-defined]  # the parser's own action


class OneLineParser(LightningArgumentParser):
    """Reports a mistake in the arguments as one line and exits with 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the innermost reason, with the key it belongs to."""
        print(f"vrft_pl: {one_line(message)}", file=sys.stderr)
        sys.exit(2)


_REASON = re.compile(
    r"^\s*- (?!Does not validate|Expected a .*NoneType)(.*?)(?=^\s*- |^\s*Given value|\Z)", re.M | re.S
)


_FROM_WORKER = f"{InputError.__module__}.{InputError.__qualname__}: "
"""What stands before the message at the end of the traceback that a worker process hands over."""


def one_line(message: str) -> str:
    r"""Shorten a message to one line.

    Of the parser's nested alternatives it is the reason that is no mere type mismatch; of what a worker process of a
    loader raised, the message without the traceback.

    Example:
        >>> one_line("Parser key 'x': Does not validate\nErrors:\n  - Expected `n` to be 1.\n  - Expected a NoneType")
        "Parser key 'x': Expected `n` to be 1."
        >>> one_line("Caught InputError in worker 0.\nOriginal Traceback ...\nvrft_pl.types.InputError: Row 5.")
        'Row 5.'
    """
    message = message.rpartition(_FROM_WORKER)[2]
    reasons = _REASON.findall(message)
    if "Errors:" in message and reasons:
        key = re.match(r"Parser key [^:]*: ", message)
        message = (key.group() if key else "") + reasons[-1]
    return re.sub(r"\s+", " ", message).strip()


class RunTrainer(CheckTrainer):
    """Lightning's trainer; ends where `StopOnSignal` says, in place of the middle of an optimizer step."""

    @property
    def received_sigterm(self) -> bool:
        """Whether to end after this batch."""
        callbacks: list[Callback] = self.callbacks  # type: ignore[attr-defined]  # set by a connector
        stops = [callback for callback in callbacks if isinstance(callback, StopOnSignal)]
        return any(stop.asks_to_stop(self) for stop in stops) if stops else super().received_sigterm


class VRFTCLI(LightningCLI):
    """Runs ``fit``, ``validate``, ``test``, ``predict`` and ``check``."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run's folder and the callbacks that every run has; link what two parts need."""
        whole_numbers_first(parser)
        parser.add_class_arguments(RunOptions, "run")
        parser.add_lightning_class_args(CompletionRecorder, "completions")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        parser.add_lightning_class_args(HFExport, "export")
        parser.add_lightning_class_args(StepCheckpoint, "checkpoint")
        parser.set_defaults({"checkpoint.mode": "max", "checkpoint.filename": "{step}"})
        parser.set_defaults({"checkpoint.enable_version_counter": False})  # a resumed run writes over, and not beside
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "model.init_args.seed", compute_fn=int)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's commands, and ``check``."""
        return {**LightningCLI.subcommands(), "check": set()}

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Give ``check`` options in place of the arguments of a method."""
        if subcommand != "check":
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser = self.init_parser(**kwargs)
        self._add_arguments(parser)
        parser.add_class_arguments(CheckOptions, "check")
        self._subcommand_method_arguments[subcommand] = []
        return parser

    def before_instantiate_classes(self) -> None:
        """Choose the folder of the run, and its loggers where the config names none."""
        config = self.config[self.subcommand]
        names = [Path(str(path)).stem for path in config.get("config") or []]
        self.options = RunOptions(**config.run.as_dict())
        self.folder = run_folder(self.options, names[0] if names else "run", config.seed_everything)
        self.existed = self.folder.exists()
        checkpoint = config.checkpoint
        triggers = ("monitor", "every_n_train_steps", "every_n_epochs", "train_time_interval")
        if all(checkpoint[key] is None for key in triggers):
            checkpoint.every_n_train_steps = SAVE_EVERY  # with a monitor it saves after each validation instead
        self.checkpoint_folders = checkpoint_folders(self.folder, checkpoint.dirpath)
        if config.get("ckpt_path") == "last":
            config.ckpt_path = str(last_checkpoint(self.checkpoint_folders))

    def instantiate_classes(self) -> None:
        """Build everything; a value that a constructor refuses is a mistake in the arguments."""
        try:
            super().instantiate_classes()
        except (ValueError, MisconfigurationException) as error:
            fail(error, 2)

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Give the trainer the run's loggers, unless the config has its own or wants none."""
        logger = self._get(self.config_init, "trainer").get("logger")
        if self.subcommand == "fit" and logger in (None, True):
            kwargs["logger"] = run_loggers(self.options, self.folder)
        elif logger is None:
            kwargs["logger"] = False
        return super().instantiate_trainer(**{"default_root_dir": str(self.folder), **kwargs})

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        """Add the progress bar, unless the config has one of its own or wants none; likewise the rest."""
        if self.subcommand == "check":
            self.plan = Plan.of(config)
            return CheckTrainer(**self.plan.alone(accelerator="cpu", precision="32-true"))
        given = config.get("callbacks") or []
        given = given if isinstance(given, list) else [given]
        if self.subcommand == "fit":
            refuse_unsafe_savers(given, config.get("accumulate_grad_batches", 1))
            callbacks = [c for c in callbacks if not isinstance(c, PredictionWriter) or c.in_fit]
            self.stop = StopOnSignal()
            callbacks = [*callbacks, CutBack(), self.stop]
        if config.get("enable_checkpointing") is False:
            callbacks = [callback for callback in callbacks if not isinstance(callback, ModelCheckpoint)]
        if config.get("enable_progress_bar") is not False and not any(isinstance(c, ProgressBar) for c in given):
            callbacks = [*callbacks, RewardProgressBar()]
        trainer = super()._instantiate_trainer(config, callbacks)
        install_checkpoint_io(trainer)
        return trainer

    def before_fit(self) -> None:
        """Check the data, say what was drawn and left out of it, then evaluate the policy as it is."""
        self.start = time.perf_counter()
        self.datamodule.setup("fit")
        self._describe_data()
        self.before = self._evaluate() if self.options.evaluate_before else {}

    def after_fit(self) -> None:
        """Evaluate the trained policy, write ``summary.json`` and print the table."""
        self._describe_data()  # rows of a stream are left out while they are read
        after = self._evaluate() if self.options.evaluate_after else {}
        seconds = time.perf_counter() - self.start
        folder = Path(self.trainer.log_dir or self.folder)  # on every rank: it is a broadcast
        if self.trainer.is_global_zero:
            wandb.finish()
            write_summary(folder, self.before, after, seconds)
            print_summary(folder, self.before, after, seconds)

    def validate(self, **kwargs: Any) -> None:
        """Evaluate on the validation splits and print the scores."""
        self._report(self.trainer.validate(**{**kwargs, "verbose": False}))

    def test(self, **kwargs: Any) -> None:
        """Evaluate on the test splits and print the scores."""
        self._report(self.trainer.test(**{**kwargs, "verbose": False}))

    def predict(self, **kwargs: Any) -> None:
        """Write one greedy completion to each sample of the test splits, as ``predictions.jsonl``."""
        batches = self.trainer.predict(**{**kwargs, "return_predictions": True}) or []
        parts = batches if batches and isinstance(batches[0][0], list) else [batches]
        share = data_share(self.trainer.strategy)
        rows = (row for part in parts for row in in_order([row for batch in part for row in batch], share))
        folder = Path(self.trainer.log_dir or self.folder)  # on every rank: it is a broadcast
        if self.trainer.is_global_zero:
            write_rows(folder / "predictions.jsonl", rows)
            print(f"Predictions: {folder / 'predictions.jsonl'}")
        else:
            deque(rows, maxlen=0)  # takes part in the gathering

    def check(self, **kwargs: Any) -> None:
        """Check everything that can be checked without training; exit with 1 when something would break the run."""
        options = CheckOptions(**self.config.check.check.as_dict())
        report = check_run(self.model, self.datamodule, self.plan, options, self.folder)
        report.write(self.folder / "check.json")
        report.print(self.folder / "check.json")
        if report.count("error"):
            fail(ValueError(report.verdict), 1)

    def _report(self, parts: list[Any]) -> None:
        """Write ``scores.json`` and print the table."""
        scores = {name: value for part in parts for name, value in part.items()}
        folder = Path(self.trainer.log_dir or self.folder)  # on every rank: it is a broadcast
        if self.trainer.is_global_zero:
            write_scores(folder, scores)
            print_scores(scores)
            print(f"Files of this run: {folder}")

    def _describe_data(self) -> None:
        """Write the ids of rows that were drawn from larger sources, and the rows that were left out."""
        task, folder = self.datamodule, Path(self.trainer.log_dir or self.folder)
        if not isinstance(task, SampleData) or not self.trainer.is_global_zero:
            return
        for name, rows in (("chosen", task.chosen()), ("skipped", task.skipped)):
            if rows:
                write_json(folder / f"{name}.json", rows)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run a command; when an input turns out to be wrong before the first step, leave no folder behind."""
        try:
            super()._run_subcommand(subcommand)
        except InputError:
            wandb.finish()
            if not self.existed and self.trainer.global_step == 0 and self.trainer.is_global_zero:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise
        except SIGTERMException:
            self._say_where_it_stopped()

    def _say_where_it_stopped(self) -> NoReturn:
        """Name the checkpoint and how to go on; exit as a process does that the signal ends.

        Beside the first process they exit with 0: Lightning kills all at once when one that it launched does not.
        """
        stopped = self.stop if self.subcommand == "fit" else None
        signum = signal.Signals((stopped and stopped.signum) or signal.SIGTERM)
        if not self.trainer.is_global_zero:
            sys.exit(0)
        wandb.finish(exit_code=128 + signum)
        message = f"Ended by {signum.name} after step {self.trainer.global_step}, not finished."
        if stopped and (newest := newest_checkpoint(self.checkpoint_folders)):
            message += f" Newest checkpoint: {newest}."
            message += f" Go on with the same command and `--run.folder {self.folder} --ckpt_path last`."
        fail(RuntimeError(message), 128 + signum)

    def _evaluate(self) -> dict[str, float]:
        if not self.datamodule.val_dataloader():
            return {}
        scores = self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
        return {name: value for part in scores for name, value in part.items()}


def run(args: list[str]) -> None:
    """Parse the arguments and run a command; exits with 2 or 1 and one line when something is wrong."""
    quieten()
    try:
        VRFTCLI(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_class=RunTrainer,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            parser_class=OneLineParser,
            parser_kwargs={"allow_abbrev": False},
            save_config_kwargs={"overwrite": True},
            args=args,
        )
    except InputError as error:
        fail(error, 1)


def refuse_unsafe_savers(callbacks: Sequence[Callback], accumulate: int) -> None:
    """Refuse checkpoints that Lightning would write in the middle of an optimizer step.

    Raises:
        InputError: If gradients are accumulated and a callback would lose them.
    """
    for callback in callbacks:
        if accumulate > 1 and isinstance(callback, ModelCheckpoint) and not isinstance(callback, StepCheckpoint):
            raise InputError(
                f"Expected `{type(callback).__name__}` among `trainer.callbacks` to be "
                "`vrft_pl.callbacks.StepCheckpoint`, with the same options: Lightning's own may save between two "
                "micro-batches of an optimizer step, and a run that is resumed there ends with other weights."
            )


def quieten() -> None:
    """Silence advice about things done here on purpose, and progress bars of things done in a second."""
    expected = (
        "does not have many workers",
        "in eval mode at the start of training",
        "treespec, LeafSpec",
        "args parameter is intended",
        "was deprecated in v4.49",
        "skip_none parameter",
        "JsonargparseDeprecationWarning",
    )
    for message in expected:
        warnings.filterwarnings("ignore", f".*{message}.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.msg)
    transformers.utils.logging.disable_progress_bar()


def fail(error: BaseException, code: int) -> NoReturn:
    """Print one line and exit."""
    print(f"vrft_pl: {one_line(str(error))}", file=sys.stderr)
    sys.exit(code)

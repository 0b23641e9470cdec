"""What the commands share, on LightningCLI: typed signatures are the schema, and every mistake is one line."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import torch
import yaml
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from vrft_pl.callbacks import StepCheckpoint
from vrft_pl.commands import reading
from vrft_pl.commands.errors import fail, of_surroundings, out_of_memory
from vrft_pl.commands.parser import ConfigArgumentParser
from vrft_pl.commands.ranges import out_of_range, refuse_unusable, unwritable
from vrft_pl.commands.run_options import RunOptions
from vrft_pl.data import Source
from vrft_pl.data.samples import Split
from vrft_pl.distributed import Facts, device_refusal, passes_alone
from vrft_pl.metrics import Constants
from vrft_pl.modules import PolicyModule
from vrft_pl.policy import VLM
from vrft_pl.runs import Claim, RunFolder, tracking
from vrft_pl.runs.limits import YAMLLimits
from vrft_pl.trainer.base import TRAINER_DEFAULTS, RunTrainer
from vrft_pl.trainer.callbacks import CHECKPOINTS, OF_EVERY_RUN, SAVE_EVERY, together
from vrft_pl.trainer.constants import constants_of
from vrft_pl.trainer.plan import code
from vrft_pl.trainer.quiet import quieten
from vrft_pl.trainer.resuming import checked, flat, last
from vrft_pl.trainer.start import claimed, note_end, write_start
from vrft_pl.types import InputError

BUILT_BY_US: set[str | int] = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"}
"""Arguments of the Trainer's methods that are no options."""
TRAINER_REFUSES = (TypeError, OverflowError, ImportError)
"""What Lightning raises beside `ValueError` for options that it can't use."""


class RunCLI(LightningCLI):
    """Parses a command's arguments and builds what it runs on.

    Args:
        command: Name of the command.
        args: What follows it.
    """

    runs_trainer: ClassVar[bool] = True
    """Whether it is the Trainer's method of that name, whose arguments are options of the command then."""
    trainer: RunTrainer

    def __init__(self, command: str, args: Sequence[str]) -> None:
        quieten()
        self.command, self.args = command, args
        super().__init__(
            LightningModule,
            LightningDataModule,
            save_config_callback=None,
            trainer_class=RunTrainer,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_class=ConfigArgumentParser,
            parser_kwargs={"prog": f"vrft_pl {command}"},
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            run=False,
            args=list(args),
        )

    def setup_parser(self, *args: Any) -> None:
        """Make the parser out of the source of what it parses for, as it lies on the disk now.

        Raises:
            InputError: If it lacks keys, since the files have changed after they were imported.
        """
        try:
            super().setup_parser(*args)
        except KeyError as error:
            raise InputError(
                "Expected the source of every class as it was imported, but a file was edited, checked out or "
                f"installed since this process began ({error.args[0].rstrip('.')}). Start the command again."
            ) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run's folder, the callbacks that every run has, what the method takes; link what two parts need."""
        parser.add_class_arguments(RunOptions, "run")
        parser.add_class_arguments(YAMLLimits, "yaml")
        for name, callback in OF_EVERY_RUN.items():
            parser.add_class_arguments(callback, name, fail_untyped=False, instantiate=True, sub_configs=True)
        parser.set_defaults({f"checkpoint.{name}": value for name, value in CHECKPOINTS.items()})
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "model.init_args.seed", compute_fn=int)
        self.method_arguments: list[str] = []
        if self.runs_trainer:
            self.method_arguments = parser.add_method_arguments(Trainer, self.command, skip=BUILT_BY_US)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Read the arguments, and refuse what their types allow and nothing can be done with."""
        assert isinstance(parser, ConfigArgumentParser)
        parser.module = type(self).__module__
        try:
            limits = reading.limits_of(self.args)
        except ValueError as error:
            fail(error, 2)
        reading.install(limits)
        parser.limits = limits
        try:
            super().parse_arguments(parser, args)
        except UnicodeDecodeError as error:
            fail(f"Expected configs in UTF-8, but one can't be read: {error}.", 2)
        except RecursionError:
            fail(f"Expected values of at most {limits.levels} levels, but got more.", 2)
        if YAMLLimits(**self.config.yaml.as_dict()) != limits:
            fail("Expected `yaml` to be set on the command line, but a config sets it, which is read by then.", 2)
        if refusal := out_of_range(flat(self.config.as_dict())):
            fail(refusal, 2)

    def before_instantiate_classes(self) -> None:
        """Choose the folder of the run."""
        config, checkpoint = self.config, self.config.checkpoint
        self.options = RunOptions(**config.run.as_dict())
        self.folder = RunFolder(self.choose_folder(), checkpoint.dirpath)
        for place in (self.folder.path, self.folder.checkpoints):
            if refusal := unwritable(place):
                fail(refusal, 2)
        self.folder.refuse_others()
        self.seen = self.folder.progress()
        triggers = ("monitor", "every_n_train_steps", "every_n_epochs", "train_time_interval")
        if all(checkpoint[key] is None for key in triggers):
            checkpoint.every_n_train_steps = SAVE_EVERY  # with a monitor it saves after each validation instead
        if config.get("ckpt_path") == "last":
            config.ckpt_path = last(self.folder)
        elif config.get("ckpt_path") is not None:
            checked(config.ckpt_path)

    def choose_folder(self) -> Path:
        """The folder that is named, or a new one; nothing is written yet.

        Raises:
            InputError: If it holds a finished run.
        """
        if self.options.folder is None:
            names = [Path(str(path)).stem for path in self.config.get("config") or []]
            time_and_seed = f"{time.strftime('%Y%m%d-%H%M%S')}-seed{self.config.seed_everything}"
            return Path("runs") / (names[0] if names else "run") / time_and_seed
        if RunFolder(self.options.folder).finished:
            raise InputError(
                f"Expected `run.folder` to be new, but {self.options.folder} holds a finished run. Name another one."
            )
        return Path(self.options.folder)

    def instantiate_classes(self) -> None:
        """Build everything; a value that a constructor refuses is a mistake in the arguments."""
        self.parser.add_instantiator(self.read_rows, Source)
        self.parser.add_instantiator(self.load_policy, VLM)
        try:
            super().instantiate_classes()
            refuse_unusable(self.model)
        except (ValueError, MisconfigurationException, *TRAINER_REFUSES) as error:
            if self.refused is not None:
                raise self.refused from error
            if isinstance(error, TRAINER_REFUSES) and "config_init" not in vars(self):
                raise
            self.close()
            fail(error, 2)

    refused: InputError | None = None
    """What was wrong with the files of a source or a policy; the parser hides it among types that do not match."""

    def read_rows(self, kind: type[Source], *args: Any, **kwargs: Any) -> Source:
        """Build a source, and remember that what it reads is wrong, and not the arguments."""
        try:
            return kind(*args, **kwargs)
        except InputError as error:
            self.refused = error
            raise

    def load_policy(self, kind: type[VLM], *args: Any, **kwargs: Any) -> VLM:
        """Build a policy, and remember that what lies in its folder is wrong; that there is none is an argument."""
        try:
            return kind(*args, **kwargs)
        except (InputError, TypeError, AttributeError) as error:
            folder = str(kwargs.get("checkpoint", ""))
            if folder and Path(folder).is_dir():
                why = f"Expected a vision-language model in {folder}, but its files make none: {error}."
                self.refused = error if isinstance(error, InputError) else InputError(why)
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with the loggers and callbacks of the command, below those of the config."""
        saver: StepCheckpoint = self.config_init.checkpoint
        saver.dirpath = saver.dirpath or str(self.folder.checkpoints)  # not below a folder of some logger
        asked = self.config_init.trainer
        if refusal := device_refusal(asked.accelerator, asked.devices):
            raise InputError(refusal)
        trainer = super().instantiate_trainer(
            default_root_dir=str(self.folder), logger=self.logger(), callbacks=self.callbacks(), **kwargs
        )
        assert isinstance(trainer, RunTrainer)
        trainer.keep_in(self.folder, self.facts)
        return trainer

    def facts(self) -> Facts:
        """What has to be the same on every rank: versions of packages, this package's code, every key of the config."""
        config = flat(yaml.safe_load(self.parser.dump(self.config, skip_unset=False)))
        return {**code(), **config}

    def logger(self) -> Any:
        """The config's, or none."""
        given = self.config_init.trainer.logger
        return False if given is None else given

    def callbacks(self) -> list[Callback]:
        """Those of the config, those that every run has, and a progress bar unless the config has its own or none."""
        config = self.config_init.trainer
        given = config.callbacks or []
        given = list(given) if isinstance(given, list | tuple) else [given]
        own = [self.config_init[name] for name in OF_EVERY_RUN]
        own = [*own, *self.extra_callbacks()]
        return together(given, own, config.enable_checkpointing, config.enable_progress_bar)

    def extra_callbacks(self) -> list[Callback]:
        """Those that this command alone has."""
        return []

    @property
    def method_kwargs(self) -> dict[str, Any]:
        """Arguments of the Trainer's method."""
        return {name: self.config_init[name] for name in self.method_arguments}

    def start(self) -> None:
        """Write down what is run, and tell the loggers; the data are set up.

        Nothing is written before, so that a wrong input leaves nothing behind.
        """
        if self.trainer.is_global_zero:
            self.claim = claimed(self.folder, self.seen)
        command, config = ["vrft_pl", self.command, *self.args], self.parser.dump(self.config, skip_unset=False)
        goes_on = bool(self.config.get("resume"))
        write_start(self.trainer, self.command, command, config, self.datamodule, goes_on)

    claim: Claim | None = None
    """What keeps other processes out of the folder."""

    def constants(self, split: Split, scores: Mapping[str, float]) -> Constants:
        """Constant answers beside the policy's scores; none where there are no scores, or none are wanted."""
        if not scores or not self.options.constants:
            return Constants()
        return constants_of(self.trainer, self.model, self.datamodule, split, self.folder)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Surround a command: its engine is closed however it ends, and a wrong input leaves no folder behind."""
        try:
            yield
        except InputError:
            tracking.finish()
            if self.claim is not None and self.claim.created and self.trainer.global_step == 0:
                shutil.rmtree(self.folder.path, ignore_errors=True)
            raise
        except OSError as error:
            if (said := of_surroundings(error, self.folder)) is None:
                raise
            raise InputError(said) from error
        except torch.OutOfMemoryError as error:
            strategy, trains = self.trainer.strategy, self.trainer.state.fn == TrainerFn.FITTING
            together = None if passes_alone(strategy) else type(strategy).__name__
            raise InputError(out_of_memory(error, trains, together)) from error
        except SIGTERMException:
            self.say_where_it_stopped()
        else:
            note_end(self.trainer, self.model, self.folder)
        finally:
            self.close()

    def close(self) -> None:
        """Close the engine that wrote completions, leave the other ranks, and let others into the folder."""
        if self.claim is not None:
            self.claim.release()
            self.claim = None
        if isinstance(module := getattr(self, "model", None), PolicyModule):
            module.sampler.close()
        if watchdog := getattr(self, "config_init", {}).get("watchdog"):
            watchdog.stop()

    def say_where_it_stopped(self) -> NoReturn:
        """Exit as a process does that the signal ends, with one line.

        Beside the first process they exit with 0: Lightning kills all at once when one that it launched does not.
        """
        signum, advice = self.stopped_by()
        if not self.trainer.is_global_zero:
            sys.exit(0)
        tracking.finish(exit_code=128 + signum)
        fail(f"Ended by {signum.name} after step {self.trainer.global_step}, not finished.{advice}", 128 + signum)

    def stopped_by(self) -> tuple[signal.Signals, str]:
        """The signal that ended the run, and how to go on."""
        return signal.SIGTERM, ""

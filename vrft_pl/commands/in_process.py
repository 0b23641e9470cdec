"""The commands of an ablation's runs: carried out in this process, which has imported everything, or apart."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from vrft_pl.ablation import Probe, probe, processes
from vrft_pl.commands.cli import RunCLI
from vrft_pl.commands.errors import last_line, one_line
from vrft_pl.commands.evaluate import score
from vrft_pl.commands.fit import FitCLI
from vrft_pl.commands.parser import ConfigArgumentParser
from vrft_pl.data import SampleData, Source
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError


class ProbeCLI(RunCLI):
    """Builds what a policy is sampled with; leaves no folder."""

    runs_trainer = False

    def probe(self, completions: int, seed: int) -> Probe:
        """Let the policy write on the training rows.

        Args:
            completions: Completions a row.
            seed: Seed of sampling.
        """
        task, module, trainer = self.datamodule, self.model, self.trainer
        task.setup("fit")
        module.configure_model()
        trainer.precision_plugin.convert_module(module.to(trainer.strategy.root_device))
        with trainer.precision_plugin.forward_context():
            return probe(module, task.datasets("train")["train"], completions, seed, task.train_source.rows)


class InProcess:
    """Carries out the commands in this process, which has imported everything; those of several devices apart."""

    def check(self, config: Path) -> None:
        """Parse a config of `vrft_pl fit`."""
        with quietly():
            FitCLI("fit", ["--config", str(config), "--print_config"])

    def fit(self, config: Path, folder: RunFolder) -> None:
        """Train, from the newest checkpoint in the folder if there is one."""
        args = ["--config", str(config), "--run.folder", str(folder)]
        if folder.newest_checkpoint():
            args += ["--ckpt_path", "last"]
        if apart(config):
            by_itself("fit", args)
            return
        with quietly():
            cli = FitCLI("fit", args)
            with cli.running():
                stop = cli.fit().stop
        if stop.signum is not None:  # it came after the last step: this run is whole, and another one not wanted
            sys.exit(128 + stop.signum)

    def test(self, config: Path, folder: RunFolder) -> None:
        """Judge on the test parts."""
        args = ["--config", str(config), "--run.folder", str(folder)]
        if apart(config):
            by_itself("test", args)
            return
        with quietly():
            score(RunCLI("test", args))

    def probe(self, config: Path, completions: int, seed: int) -> Probe:
        """Let a policy write on the training rows of a config."""
        with quietly():
            cli = ProbeCLI("probe", ["--config", str(config)])
            with cli.running():
                return cli.probe(completions, seed)

    def source(self, config: Path) -> Source:
        """The training rows of a config."""
        parser = ConfigArgumentParser(prog="vrft_pl ablate", allow_abbrev=False)
        parser.add_subclass_arguments(SampleData, "data", required=True)
        try:
            with quietly():
                task = parser.instantiate(parser.parse_object(yaml.safe_load(config.read_text(encoding="utf-8")))).data
        except ValueError as error:
            raise InputError(one_line(str(error))) from error
        if getattr(task, "train_source", None) is None:
            raise InputError("Expected `data.init_args.train` to name the pool that rows are drawn from, but got none.")
        return task.train_source


def apart(config: Path) -> bool:
    """Whether a run has several processes, which Lightning starts by the command line of this one."""
    return processes(yaml.safe_load(config.read_text(encoding="utf-8"))["trainer"]) > 1


def by_itself(command: str, args: Sequence[str]) -> None:
    """Carry out a command in a process of its own.

    Raises:
        InputError: If it refuses its input; with its last line.
        RuntimeError: If it ends in another way.
    """
    # it takes the locks along: where this process is killed, nobody else begins before it ends
    with subprocess.Popen(
        [sys.executable, "-m", "vrft_pl", command, *args],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        close_fds=False,
    ) as process:
        try:
            said = process.communicate()[1]
        except BaseException:
            process.terminate()  # it saves
            process.communicate()
            raise
    if process.returncode:
        kind = InputError if process.returncode in (1, 2) else RuntimeError  # as where somebody killed it
        raise kind(last_line(said) or f"`vrft_pl {command}` ended with {process.returncode}.")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep what a run prints to itself, and raise what it would have ended with.

    Raises:
        InputError: If it would have ended with a wrong input; a signal ends this process as well.
    """
    said = io.StringIO()
    loggers = {logger: logger.level for logger in map(logging.getLogger, ("lightning.pytorch", "lightning.fabric"))}
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning has made it an exit with 1
            raise KeyboardInterrupt from stop
        if stop.code in (1, 2):
            raise InputError(last_line(said.getvalue()).removeprefix("vrft_pl: ")) from stop
        if stop.code not in (0, None):
            raise
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)

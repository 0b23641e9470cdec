"""``vrft_pl ablate``: arms side by side on the same rows, at a matched cost, after an equal search."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
import yaml

from vrft_pl.ablation import (
    Ablation,
    Probe,
    Runner,
    Store,
    array_script,
    changed_keys,
    collect,
    print_results,
    probe,
    put,
    shown,
)
from vrft_pl.commands.cli import OneLineParser, RunCLI
from vrft_pl.commands.errors import fail
from vrft_pl.commands.evaluate import score
from vrft_pl.commands.fit import FitCLI
from vrft_pl.data import SampleData, Source
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

WORKERS = "workers"
"""Folder of what workers print."""
SECTIONS = ("policy", "data", "eval_params", "trainer", "run")
"""Parts of an ablation whose values are options too, by their dotted keys."""


@dataclass(frozen=True)
class AblateOptions:
    """Where and how cells are carried out.

    Args:
        folder: Folder of the ablation; ``runs/<name>`` by default. What is finished there is not done again.
        workers: Processes on this machine, each with a device of its own where there are several.
        cell: Carry out this cell alone, by its number.
        submit: ``slurm`` hands the cells in as an array job.
        submit_options: Options of ``sbatch``, such as ``--gpus=1``.
        dry_run: Print the cells, or the script that would be handed in, and do nothing.
        keep_checkpoints: Keep the checkpoints of finished runs, which only resuming needs.
    """

    folder: str | None = None
    workers: int = 1
    cell: int | None = None
    submit: Literal["slurm"] | None = None
    submit_options: list[str] = field(default_factory=list)
    dry_run: bool = False
    keep_checkpoints: bool = False


def main(args: Sequence[str]) -> None:
    """Carry out an ablation, or what is left of it; write ``results.json`` and print what came of it."""
    ablation, options, resolved = parsed(args)
    store = Store(options.folder or Path("runs") / ablation.name)
    runner = Runner(ablation, store, InProcess(), keep_checkpoints=options.keep_checkpoints)
    if options.cell is not None and not 0 <= options.cell < len(runner.cells):
        fail(f"Expected `cell` to be from 0 to {len(runner.cells) - 1}, but got {options.cell}.", 2)
    if options.workers < 1:
        fail(f"Expected `workers` to be at least 1, but got {options.workers}.", 2)
    # a task of an array, too, is this command: it must not hand in an array of its own
    again = [sys.executable, "-m", "vrft_pl", "ablate", *args, "--submit", "null", "--dry_run", "false"]
    if options.submit:
        submit(
            array_script(ablation.name, store.path, len(runner.cells), again, options.submit_options), store, options
        )
        return
    if options.dry_run:
        for i, cell in enumerate(runner.cells):
            print(f"{i}: {cell.arm}, {cell.rows:g} rows, seed {cell.seed}: {runner.state(cell)}")
        return
    try:
        store.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"Expected a folder to write to at {store}, but got: {error}", 2)
    died = dict[int, str]()
    with ended_by_signals():
        begin(runner, resolved)
        if options.workers > 1 and options.cell is None:
            with shown(runner, options.workers):
                died = work_together(again, options.workers, store.path / WORKERS)
        else:
            with shown(runner):
                runner.run(None if options.cell is None else [runner.cells[options.cell]])
    results = collect(runner)
    store.write_results(results)
    print_results(results, store.path)
    if failed := [cell for cell in results.cells if cell.state == "failed"]:
        fail(f"{len(failed)} of {len(results.cells)} cells failed; the first: {failed[0].error}", 1)
    if died and (left := [cell for cell in results.cells if cell.state != "done"]):
        worker, line = next(iter(died.items()))
        fail(
            f"{len(left)} of {len(results.cells)} cells are not done: {len(died)} of {options.workers} workers died, "
            f"worker {worker} with {line!r}. What they printed: {store.path / WORKERS}. The same command goes on.",
            1,
        )


def parsed(args: Sequence[str]) -> tuple[Ablation, AblateOptions, dict[str, Any]]:
    """Read the config and the options; and the config as it was written, with its defaults."""
    parser = OneLineParser(prog="vrft_pl ablate", allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a YAML file; later files and --key value override")
    parser.add_class_arguments(Ablation)
    parser.add_class_arguments(AblateOptions)
    rest, changes = sections_apart(args)
    config = parser.parse_args(rest)
    for key, value in changes.items():
        put(config, key, value)
    names = {part.name for part in fields(AblateOptions)}
    resolved = yaml.safe_load(parser.dump(config, skip_unset=False))
    try:
        built = parser.instantiate(config)
        values = {name: value for name, value in vars(built).items() if name != "config"}
        options = AblateOptions(**{name: values.pop(name) for name in names})
        return (
            Ablation(**values),
            options,
            {key: value for key, value in resolved.items() if key not in {*names, "config"}},
        )
    except (ValueError, InputError) as error:
        fail(error, 2)


def sections_apart(args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take out what changes a value within a section, such as ``--policy.init_args.checkpoint FOLDER``.

    Returns:
        The other arguments, and the values by dotted key.
    """
    rest, changes, left = [], {}, list(args)
    while left:
        argument = left.pop(0)
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or key.partition(".")[0] not in SECTIONS or "." not in key:
            rest.append(argument)
            continue
        if not equals and not left:
            fail(f"Expected a value behind `--{key}`, but there is none.", 2)
        changes[key] = yaml.safe_load(value if equals else left.pop(0))
    return rest, changes


def begin(runner: Runner, resolved: dict[str, Any]) -> None:
    """Say what has changed since the last start, check every stage's config, and write down what is compared.

    Raises:
        InputError: If the config of a stage is wrong.
    """
    store = runner.store
    path = store.path / store.ABLATION
    if path.exists():
        earlier = yaml.safe_load(path.read_text(encoding="utf-8"))
        if changes := changed_keys(earlier, resolved):
            print(f"Changed since the last start: {', '.join(changes)}. What depends on it is done anew.")
    new = not any(store.path.iterdir())
    if errors := list(runner.check()):
        if new:
            shutil.rmtree(store.path, ignore_errors=True)
        raise InputError(errors[0])
    store.write_yaml(store.ABLATION, resolved)


def submit(script: str, store: Store, options: AblateOptions) -> None:
    """Hand the array in, or print it.

    Raises:
        InputError: If there is no ``sbatch``, or it refuses.
    """
    if options.dry_run:
        print(script)
        return
    if shutil.which("sbatch") is None:
        raise InputError("Expected `sbatch` on the path for `--submit slurm`. `--dry_run true` prints the script.")
    (store.path / "slurm").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(("sbatch",), input=script, text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"`sbatch` refused the array: {done.stderr.strip()}")
    print(done.stdout.strip())


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End in one line by SIGTERM as by Ctrl+C, and what this process started with it."""

    def ended(signum: int, frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, ended)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        code = stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT
        if code not in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            raise
        fail(f"Ended by {signal.Signals(int(code) - 128).name}. The same command goes on.", int(code))
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def work_together(command: Sequence[str], workers: int, logs: Path) -> dict[int, str]:
    """Start workers that share the cells, a device or a share of the cores each, and wait for them.

    Args:
        command: What each carries out.
        workers: How many.
        logs: Folder of what they print.

    Returns:
        Of each worker that died, its number and the last line that it printed.
    """
    devices = torch.cuda.device_count()
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    logs.mkdir(parents=True, exist_ok=True)
    processes = []
    for i in range(workers):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        if devices > 1:
            environment["CUDA_VISIBLE_DEVICES"] = str(i % devices)
        with (logs / f"{i}.log").open("wb") as log:
            worker = subprocess.Popen([*command, "--workers", "1"], env=environment, stdout=log, stderr=log)
        processes.append(worker)
    try:
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    told = {i: (logs / f"{i}.log").read_text(encoding="utf-8", errors="replace") for i in range(workers)}
    return {i: last_line(told[i]) for i, process in enumerate(processes) if process.returncode}


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
                cli.fit()
        if cli.stop.signum is not None:  # it came after the last step: this run is whole, and another one not wanted
            sys.exit(128 + cli.stop.signum)

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
        parser = OneLineParser(prog="vrft_pl ablate", allow_abbrev=False)
        parser.add_subclass_arguments(SampleData, "data", required=True)
        with quietly():
            task = parser.instantiate(parser.parse_object(yaml.safe_load(config.read_text(encoding="utf-8")))).data
        if getattr(task, "train_source", None) is None:
            raise InputError("Expected `data.init_args.train` to name the pool that rows are drawn from, but got none.")
        return task.train_source


def apart(config: Path) -> bool:
    """Whether a run has several processes, which Lightning starts by the command line of this one."""
    trainer = yaml.safe_load(config.read_text(encoding="utf-8"))["trainer"]
    devices = trainer.get("devices", 1)
    return devices not in (1, "1", [0], "auto") or trainer.get("num_nodes", 1) > 1


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


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""

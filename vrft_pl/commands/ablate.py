"""``vrft_pl ablate``: arms side by side on the same rows, at a matched cost, after an equal search."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from vrft_pl.ablation import Ablation, Runner, Store, array_script, changed_keys, collect, print_results, put, shown
from vrft_pl.ablation.runner import describe
from vrft_pl.commands.errors import fail
from vrft_pl.commands.in_process import InProcess
from vrft_pl.commands.parser import ConfigArgumentParser
from vrft_pl.commands.workers import WORKERS, ended_by_signals, work_together
from vrft_pl.types import InputError

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
            print(f"{i}: {describe(cell)}: {runner.state(cell)}")
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
    parser = ConfigArgumentParser(prog="vrft_pl ablate", allow_abbrev=False)
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
    earlier = store.read_yaml(store.ABLATION)
    if earlier and (changes := changed_keys(earlier, resolved)):
        print(f"Changed since the last start: {', '.join(changes)}. What depends on it is done anew.")
    new = not any(store.path.iterdir())
    if errors := [*runner.check_inputs(), *runner.check()]:
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

"""What a report tells of: everything that was trained once, with its arm, its size and its seed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from vrft_pl.runs import RunFolder
from vrft_pl.runs.ablation import AblationFolder, AblationResults, Rows, in_rows
from vrft_pl.types import InputError

_STAMP = re.compile(r"\d{8}-\d{6}(-seed\d+)?")
"""The folder of a run that no one named; the folder above has the name of its config."""
_OF_A_RUN = (
    RunFolder.SUMMARY,
    RunFolder.SCORES,
    RunFolder.METRICS,
    RunFolder.COMPLETIONS,
    RunFolder.PREDICTIONS,
    RunFolder.MANIFEST,
)


@dataclass(frozen=True)
class Entry:
    """What was trained once: a run, or the stages and tests of an ablation's cell."""

    arm: str
    """Entries of one arm differ in their seed alone, or in how many rows they saw."""
    rows: Rows
    """How many rows were drawn, where that is compared."""
    seed: int | None
    """Of training."""
    stages: tuple[RunFolder, ...]
    """The runs that trained or evaluated, one after the other."""
    tests: tuple[tuple[str, RunFolder], ...] = ()
    """Runs of ``vrft_pl test`` after the last stage, by the name of the suite."""

    @property
    def label(self) -> str:
        """Its name for people."""
        rows = "" if self.rows is None else f", {in_rows(self.rows)}"
        return f"{self.arm}{rows}" + ("" if self.seed is None else f", seed {self.seed}")

    @property
    def folders(self) -> tuple[RunFolder, ...]:
        """All its runs."""
        return *self.stages, *(folder for _, folder in self.tests)


@dataclass(frozen=True)
class Subject:
    """What is reported."""

    title: str
    """A heading."""
    entries: tuple[Entry, ...]
    """In the order they were named, or planned."""
    ablation: AblationResults | None = None
    """Its results, where they are those of one ablation."""


def read_subject(paths: Sequence[str | Path]) -> Subject:
    """Find the runs of some folders: of a run, of an ablation, or a folder of runs.

    Raises:
        InputError: If a folder holds no run.
    """
    paths = list({os.path.realpath(path): path for path in paths}.values())
    if len(paths) == 1 and AblationFolder(paths[0]).started:
        folder = AblationFolder(paths[0])
        results = folder.results()
        return Subject(results.name, tuple(entries_of(folder, results)), results)
    found = {run.path.resolve(): run for path in paths for run in runs_of(Path(path))}
    return Subject(", ".join(heading(Path(path).resolve()) for path in paths[:3]), tuple(named(list(found.values()))))


def entries_of(folder: AblationFolder, results: AblationResults) -> Iterable[Entry]:
    """The cells of an ablation that have left something."""
    for cell in results.cells:
        stages = tuple(folder.run(path) for path in cell.stages)
        tests = tuple((suite, folder.run(path)) for suite, path in cell.tests.items())
        yield Entry(cell.arm, cell.rows, cell.seed, stages, tests)


def runs_of(path: Path) -> list[RunFolder]:
    """The run that a folder is, or those below it.

    Raises:
        InputError: If there are none.
    """
    if is_run(path):
        return [RunFolder(path)]
    below = {file.parent for name in _OF_A_RUN for file in path.glob(f"**/{name}")}
    if not below:
        raise InputError(
            f"Expected the folder of a run or of an ablation, but {path} holds neither. "
            f"A run leaves {RunFolder.MANIFEST}, an ablation {AblationFolder.RESULTS}."
        )
    return [RunFolder(folder) for folder in sorted(below)]


def is_run(path: Path) -> bool:
    """Whether a run has left something in a folder."""
    return any((path / name).exists() for name in _OF_A_RUN)


def named(runs: Sequence[RunFolder]) -> list[Entry]:
    """Make runs that differ in their seed alone seeds of one arm; a second run of a seed is of an arm of its own."""
    configs = [read_config(run) for run in runs]
    keys = [
        repr(sorted(comparable(config).items())) if config else str(run)
        for run, config in zip(runs, configs, strict=True)
    ]
    seeds = [seed if isinstance(seed := config.get("seed_everything"), int) else None for config in configs]
    runs_of_seeds = list(zip(keys, seeds, strict=True))
    again = [0 if one[1] is None else runs_of_seeds[:i].count(one) for i, one in enumerate(runs_of_seeds)]
    keys = [f"{key} {times}" for key, times in zip(keys, again, strict=True)]
    names: dict[str, str] = {}
    for key, run in zip(keys, runs, strict=True):
        names.setdefault(key, unused(short_name(run.path.resolve()), names.values()))
    return [Entry(names[key], None, seed, (run,)) for key, seed, run in zip(keys, seeds, runs, strict=True)]


def short_name(path: Path) -> str:
    """The name of a folder, or of the config that a folder is named after."""
    return path.parent.name if _STAMP.fullmatch(path.name) else path.name


def heading(path: Path) -> str:
    """The name of a folder for people, with that of its config where no one named it."""
    return f"{path.parent.name} {path.name}" if _STAMP.fullmatch(path.name) else path.name


def unused(name: str, taken: Iterable[str]) -> str:
    """A name that no other arm has.

    Example:
        >>> unused("a", ["a", "a (2)"])
        'a (3)'
    """
    others = set(taken)
    names = chain([name], (f"{name} ({i})" for i in count(2)))
    return next(one for one in names if one not in others)


def read_config(run: RunFolder) -> dict[str, Any]:
    """The resolved config of a run, or nothing where it left none that can be read."""
    try:
        config = run.config()
        list(flattened(config))  # YAML may hold itself: then it has no end
    except (InputError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config by dotted key, without the seed and where the run keeps its files."""
    flat = dict(flattened(config))
    own = ("seed_everything", "run.folder", "ckpt_path", "config", "trainer.default_root_dir")
    seeds = {"data.init_args.seed", "model.init_args.seed"}
    return {key: value for key, value in flat.items() if key not in seeds and not key.startswith(own)}


def flattened(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    """Each value of nested mappings and lists by its dotted key."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        parts = enumerate(value)
    elif key:
        yield key, value
    for name, part in parts:
        yield from flattened(part, f"{key}.{name}" if key else str(name))

"""The folder of an ablation: what was done, and who is doing what."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml

from vrft_pl.runs import RunFolder
from vrft_pl.runs.ablation import AblationFolder, AblationResults
from vrft_pl.runs.files import read_json, read_yaml, whole_file, write_json
from vrft_pl.runs.rows import write_rows
from vrft_pl.types import InputError


class Busy(Exception):
    """Another worker is doing it."""


class Store:
    """Every run of an ablation is an ordinary run folder, named after everything that decides it.

    So a run that is finished is never done again, whoever needs it, and one whose config has changed has another name.
    A lock is held while something is done and goes with the process that does it, however that ends.

    Args:
        path: The folder.
    """

    ABLATION: ClassVar = "ablation.yaml"
    LOCKS: ClassVar = ".locks"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    def run(self, name: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.path / name)

    @contextmanager
    def only(self, name: str) -> Iterator[None]:
        """Be the only one who does something.

        Raises:
            Busy: If another worker does it.
        """
        path = self.path / self.LOCKS / f"{slug(name)}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(name) from None
            os.set_inheritable(file.fileno(), True)  # for a process that does it in the place of this one
            yield

    def busy(self, name: str) -> bool:
        """Whether a worker is at something."""
        if not (self.path / self.LOCKS / f"{slug(name)}.lock").exists():
            return False
        try:
            with self.only(name):
                return False
        except Busy:
            return True

    def read(self, name: str) -> dict[str, Any] | None:
        """Read JSON that `write` left; ``None`` where there is none.

        Raises:
            InputError: If another program wrote it.
        """
        path = self.path / name
        return with_names(read_json(path), path) if path.exists() else None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Wait until no other worker writes: two that write one file would share its temporary name."""
        path = self.path / self.LOCKS / "writing.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def write(self, name: str, value: object) -> None:
        """Write JSON."""
        with self._writing():
            write_json(self.path / name, value)

    def write_yaml(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a config."""
        with self._writing(), whole_file(self.path / name) as file:
            file.write(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True).encode())
        return self.path / name

    def read_yaml(self, name: str) -> dict[str, Any]:
        """Read a config that `write_yaml` left; nothing where there is none.

        Raises:
            InputError: If another program wrote it.
        """
        path = self.path / name
        return with_names(read_yaml(path), path) if path.exists() else {}

    def config(self, name: str, config: Mapping[str, Any]) -> Path:
        """Write down the config of a run, by the run's name."""
        return self.write_yaml(f"configs/{Path(name).name}.yaml", config)

    def write_results(self, results: AblationResults) -> None:
        """Write what came of it."""
        with self._writing():
            AblationFolder(self.path).write(results)

    def write_lines(self, name: str, lines: list[dict[str, Any]]) -> Path:
        """Write JSON lines."""
        with self._writing():
            write_rows(self.path / name, lines)
        return self.path / name


def with_names(value: Any, path: Path) -> dict[str, Any]:
    """What a file of an ablation holds; raises `InputError` where it has no keys."""
    if not isinstance(value, dict):
        raise InputError(f"Expected keys and values in {path}, but it holds a {type(value).__name__}. Delete it.")
    return value


def slug(text: str) -> str:
    """A name that is a file's name everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("_") or "_"

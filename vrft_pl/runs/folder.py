"""The one owner of what a run leaves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Trainer

from vrft_pl.durable import PARTIAL, whole_path
from vrft_pl.runs.checksums import damage, written_at
from vrft_pl.runs.files import read_json, read_yaml, refuse_other, whole_file, write_json
from vrft_pl.runs.records import CompletionRecord
from vrft_pl.runs.rows import append_rows, read_rows, read_table, rows_to_keep, write_rows
from vrft_pl.types import InputError


class RunFolder:
    """Where a run keeps what it leaves: names, writers and readers. Nothing is written until something is kept.

    Every file is whole or not there. Records are JSON lines, append-only, each known by its step, its rank and its row.

    Args:
        path: The folder.
        checkpoints: Where checkpoints are written, if it is elsewhere.
    """

    CONFIG: ClassVar = "config.yaml"
    MANIFEST: ClassVar = "manifest.json"
    METRICS: ClassVar = "metrics.csv"
    COMPLETIONS: ClassVar = "completions.jsonl"
    PREDICTIONS: ClassVar = "predictions.jsonl"
    SUMMARY: ClassVar = "summary.json"
    SCORES: ClassVar = "scores.json"
    CONSTANTS: ClassVar = "constants.json"
    CHOSEN: ClassVar = "chosen.json"
    SKIPPED: ClassVar = "skipped.json"
    CHECK: ClassVar = "check.json"
    PROFILE: ClassVar = "profile.md"
    TRACE: ClassVar = "trace.json"
    CHECKPOINTS: ClassVar = "checkpoints"
    PICTURES: ClassVar = "pictures"
    INSPECT: ClassVar = "inspect"
    EXPORT: ClassVar = "export"
    EXPORT_BEST: ClassVar = "export-best"
    FILES: ClassVar = (
        *(CONFIG, MANIFEST, METRICS, COMPLETIONS, PREDICTIONS, SUMMARY, SCORES),
        *(CONSTANTS, CHOSEN, SKIPPED, CHECK, PROFILE, TRACE),
    )
    FOLDERS: ClassVar = (CHECKPOINTS, PICTURES, INSPECT, EXPORT, EXPORT_BEST)

    def __init__(self, path: str | Path, checkpoints: str | Path | None = None) -> None:
        self.path = Path(path)
        self.checkpoints = Path(checkpoints) if checkpoints else self.path / self.CHECKPOINTS

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def of(cls, trainer: Trainer) -> RunFolder:
        """The folder of the run that a trainer carries out. Every rank calls it: it is a broadcast."""
        return cls(trainer.log_dir or trainer.default_root_dir)

    @classmethod
    def holding(cls, checkpoint: str | Path) -> RunFolder | None:
        """The folder of the run that wrote a checkpoint; ``None`` where it lies in none."""
        parents = Path(checkpoint).parents
        return next((cls(folder) for folder in parents[:2] if (folder / cls.MANIFEST).exists()), None)

    @property
    def finished(self) -> bool:
        """Whether a run came to its end here."""
        return any((self.path / name).is_file() for name in (self.SUMMARY, self.SCORES))

    @property
    def started(self) -> bool:
        """Whether a run has left records here."""
        return any((self.path / name).exists() for name in (self.METRICS, self.COMPLETIONS, self.PREDICTIONS))

    def refuse_others(self) -> None:
        """Refuse a folder in which something else stands where the run writes.

        Raises:
            InputError: If a file of the run is a folder, a pipe or the like, or a folder of it none.
        """
        for name in self.FILES:
            refuse_other(self.path / name)
        for name in self.FOLDERS:
            if os.path.lexists(place := self.path / name) and not place.is_dir():
                raise InputError(f"Expected a folder at {place}, but it is none. Move it away, or name another folder.")

    # written

    def write(self, name: str, value: object) -> None:
        """Write JSON for people to read."""
        write_json(self.path / name, value)

    def write_text(self, name: str, text: str) -> None:
        """Write a text."""
        with whole_file(self.path / name) as file:
            file.write(text.encode())

    def file(self, name: str) -> Any:
        """A file to write into within a ``with`` statement."""
        return whole_file(self.path / name)

    def place(self, name: str) -> AbstractContextManager[Path]:
        """A temporary name, within a ``with`` statement, for a library that writes a file by itself."""
        return whole_path(self.path / name)

    def append(self, name: str, records: Iterable[CompletionRecord]) -> None:
        """Append records."""
        append_rows(self.path / name, (record.row_of_json() for record in records))

    def replace(self, name: str, step: int, records: Iterable[CompletionRecord]) -> None:
        """Write the records of a step in place of those that are there, and keep those of other steps."""
        path = self.path / name
        earlier = (row for row in read_rows(path) if row["step"] < step)
        later = (row for row in rows_to_keep(path) if row["step"] > step)
        parts: tuple[Iterable[Mapping[str, object]], ...] = earlier, (r.row_of_json() for r in records), later
        write_rows(path, (row for part in parts for row in part))

    def cut_back(self, name: str, step: int) -> None:
        """Keep the records of the steps before ``step``, which a run that goes on there will not write again."""
        if (self.path / name).exists():
            write_rows(self.path / name, (row for row in rows_to_keep(self.path / name) if row["step"] < step))
        self.drop_pictures()

    def keep_pictures(self, pictures: Mapping[str, bytes]) -> None:
        """Write pictures that are not there yet.

        Args:
            pictures: Content of each file by its name.
        """
        for name in pictures.keys() - (self.kept_pictures() if pictures else set()):
            with whole_file(self.path / self.PICTURES / name) as file:
                file.write(pictures[name])

    def drop_pictures(self) -> None:
        """Drop the pictures that no record names: a run that was ended wrote them for records that are cut back."""
        if kept := self.kept_pictures():
            rows = chain.from_iterable(read_rows(self.path / file) for file in (self.COMPLETIONS, self.PREDICTIONS))
            for name in kept.difference(*(row.get("pictures", ()) for row in rows)):
                (self.path / self.PICTURES / name).unlink(missing_ok=True)

    # read

    def config(self) -> dict[str, Any]:
        """The resolved config of the last start."""
        config: dict[str, Any] = read_yaml(self.path / self.CONFIG)
        return config

    def starts(self) -> list[dict[str, Any]]:
        """The manifest: what was run, on what and with what, at each start of the run; see `vrft_pl.runs.manifest`."""
        path = self.path / self.MANIFEST
        if not os.path.lexists(path):
            return []
        manifest = read_json(path)
        starts = manifest.get("starts") if isinstance(manifest, dict) else None
        if not isinstance(starts, list) or not all(map(is_start, starts)):
            raise InputError(f"Expected a list `starts` in {path}, but got {str(starts)[:60]}. Name another folder.")
        return starts

    def summary(self) -> dict[str, Any]:
        """Scores before and after training, those of constant answers, and the seconds."""
        return dict(read_json(self.path / self.SUMMARY))

    def scores(self) -> dict[str, float | None]:
        """Scores of an evaluation."""
        return dict(read_json(self.path / self.SCORES))

    def constants(self) -> dict[str, float | None]:
        """Scores of the best constant answers of the training rows, by the names of `scores`; none where none are."""
        path = self.path / self.CONSTANTS
        return dict(read_json(path)["scores"]) if path.exists() else {}

    def metrics(self) -> list[dict[str, str]]:
        """Rows of what was logged, by the name of each number; a row has a ``step``."""
        return read_table(self.path / self.METRICS)

    def completions(self) -> Iterator[CompletionRecord]:
        """What the policy wrote while it was trained."""
        return self._records(self.COMPLETIONS)

    def predictions(self) -> Iterator[CompletionRecord]:
        """What the policy wrote on held-out samples, at each step at which it was evaluated."""
        return self._records(self.PREDICTIONS)

    def _records(self, name: str) -> Iterator[CompletionRecord]:
        for row in read_rows(self.path / name):
            if (record := CompletionRecord.of(row)) is not None:
                yield record

    def kept_pictures(self) -> set[str]:
        """Names of the pictures that are kept of samples."""
        return {path.name for path in (self.path / self.PICTURES).glob("*.webp") if not path.name.startswith(".")}

    def picture(self, name: str) -> Path | None:
        """The file of a picture that a record names; ``None`` where it is not there."""
        path = self.path / self.PICTURES / name
        try:
            return path if path.name == name and path.is_file() else None
        except OSError:  # a name that no file can have
            return None

    def checkpoints_by_age(self) -> list[Path]:
        """Checkpoints, files or folders of a sharded strategy, the one that was written last first.

        Those that Lightning writes when SLURM requeues a job lie in the run's folder itself.
        """
        found = [p for f in (self.checkpoints, self.path) for p in f.glob("*.ckpt") if not p.name.endswith(PARTIAL)]
        return sorted(found, key=lambda path: (written_at(path), path.name), reverse=True)

    def progress(self) -> tuple[bool, Path | None, int]:
        """What is other when another process has gone on with the run: its end, its newest checkpoint, and of when."""
        newest = self.newest_checkpoint()
        return self.finished, newest, written_at(newest) if newest else 0

    def newest_checkpoint(self) -> Path | None:
        """The checkpoint that was written last."""
        return next(iter(self.checkpoints_by_age()), None)

    def whole_checkpoint(self) -> tuple[Path | None, dict[Path, str]]:
        """The newest checkpoint that is whole, and what is wrong with each newer one."""
        damaged: dict[Path, str] = {}
        for path in self.checkpoints_by_age():
            if (wrong := damage(path)) is None:
                return path, damaged
            damaged[path] = wrong
        return None, damaged


def is_start(value: Any) -> bool:
    """Whether something in a manifest says how a run was started."""
    return isinstance(value, dict) and all(isinstance(value.get(name) or {}, dict) for name in ("config", "data"))

"""Records as a report reads them: what another program wrote into a file, or a run that broke off, must not end it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrft_pl.runs import CompletionRecord, RunFolder
from vrft_pl.types import InputError

_FILES = {
    RunFolder.SUMMARY: RunFolder.summary,
    RunFolder.SCORES: RunFolder.scores,
    RunFolder.CONSTANTS: RunFolder.constants,
    RunFolder.MANIFEST: RunFolder.starts,
}
"""Files of JSON and their readers."""
_TEXTS = ("id", "problem", "answer", "completion", "finish_reason")


def readable(records: Iterator[CompletionRecord]) -> Iterator[CompletionRecord]:
    """The records that are whole, with scores that are numbers; the others are left out."""
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except (TypeError, ValueError):
            continue  # a line without a text, or with tags that are no list; the next one may be whole
        if all(isinstance(getattr(record, name), str) for name in _TEXTS) and isinstance(record.split, str | None):
            yield replace(
                record,
                scores=finite(record.scores),
                parse_failures=texts(record.parse_failures),
                advantage=number(record.advantage),
                pictures=record.pictures or (),
            )


def held(run: RunFolder, name: str) -> Any:
    """What a file of JSON of a run holds; ``None`` where there is none, or another program wrote it."""
    if not (run.path / name).exists():
        return None
    try:
        return _FILES[name](run)
    except (InputError, LookupError, TypeError, ValueError):
        return None


def unread(run: RunFolder) -> list[str]:
    """The files of a run that are there and can't be read; those of rows where none of them can."""
    wrong = [name for name in _FILES if (run.path / name).exists() and held(run, name) is None]
    wrong += [name for name, rows in _rows(run).items() if not any(rows) and _has_lines(run.path / name)]
    return [str(run.path / name) for name in wrong]


def tells(run: RunFolder) -> bool:
    """Whether anything of a run can be read."""
    return any(held(run, name) for name in _FILES) or any(any(rows) for rows in _rows(run).values())


def _rows(run: RunFolder) -> dict[str, Iterator[Any]]:
    """Rows of each file of rows that say something."""
    logged = ({name: value for name, value in row.items() if name != "step"} for row in run.metrics())
    return {
        RunFolder.METRICS: (found for row in logged if (found := numbers(row))),
        RunFolder.COMPLETIONS: readable(run.completions()),
        RunFolder.PREDICTIONS: readable(run.predictions()),
    }


def _has_lines(path: Path) -> bool:
    """Whether a file holds more than its first line, or one that is no header."""
    if not path.exists():
        return False
    lines = path.read_bytes().splitlines()
    return len(lines) > (path.suffix == ".csv")


def mapping(value: Any) -> Mapping[str, Any]:
    """A value that has names, or none."""
    return value if isinstance(value, Mapping) else {}


def finite(scores: Any) -> dict[str, float]:
    """What is a number among scores."""
    return numbers({k: v for k, v in mapping(scores).items() if isinstance(v, int | float)})


def texts(reasons: Any) -> dict[str, str]:
    """Reasons as text."""
    return {str(k): str(v) for k, v in mapping(reasons).items()}


def number(value: object) -> float | None:
    """A finite number, also one that is written as text."""
    try:
        read = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def numbers(scores: object) -> dict[str, float]:
    """What is a number among scores."""
    found = {name: number(value) for name, value in mapping(scores).items()}
    return {str(name): value for name, value in found.items() if value is not None}

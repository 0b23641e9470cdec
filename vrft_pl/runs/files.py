"""Files that are whole or not there, and rows that are appended."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from vrft_pl.durable import sync_file, sync_folder
from vrft_pl.runs.limits import check
from vrft_pl.types import InputError

PARTIAL = ".partial"
"""How the temporary name of a file ends that is being written; the name begins with a dot."""
_HALVES = "backslashreplace"
"""How half of an emoji, which UTF-8 can't hold, is written: as JSON escapes it."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside its final name, on the same file system; it is synced and renamed when all went well.

    What stood under the name stays until then, and stays for good when writing fails.
    """
    with whole_path(path) as scratch, scratch.open("wb") as file:
        yield file


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """The same for a library that opens the file by itself: a temporary name for it to write to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}{PARTIAL}")
    try:
        yield scratch
        sync_file(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, value: object) -> None:
    """Write JSON for people to read, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with whole_file(path) as file:
        file.write(text.encode(errors=_HALVES))


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: If there is no such file, or it holds something else.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:  # the last of brackets within brackets, by the thousand
        raise InputError(f"Expected JSON in {path}, but it can't be read: {error}.") from error


def read_yaml(path: Path) -> Any:
    """Read YAML.

    Raises:
        InputError: If there is no such file, or it holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        check(text)
        return yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"Expected YAML in {path}, but it can't be read: {error}.") from error


def line(row: Mapping[str, object]) -> bytes:
    """A row as a line of JSON."""
    return f"{json.dumps(row, ensure_ascii=False)}\n".encode(errors=_HALVES)


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as JSON lines as they come, whole or not at all."""
    with whole_file(path) as file:
        file.writelines(map(line, rows))


def append_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append rows, each on a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.writelines(map(line, rows))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read the rows of JSON lines that have a ``step``; none where there is no file. Lines cut in two are left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for text in file:
            try:
                row = json.loads(text) if text.endswith(b"\n") else None
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                yield row


def write_table(path: Path, columns: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode())


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the whole lines of a CSV file that have a ``step``, each without its empty cells; none without a file."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    return [{name: value for name, value in row.items() if name and value} for row in lines if row.get("step")]

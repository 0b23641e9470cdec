"""Rows of a run's records: appended, read again without those that are broken, and written anew."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from vrft_pl.durable import whole_path
from vrft_pl.runs.files import HALVES, refuse_other, whole_file

DAMAGED = ".damaged"
"""How the name goes on under which a file is kept that holds what can't be read."""
MOST_NAMED = 5
"""Lines that a message names."""


def line(row: Mapping[str, object]) -> bytes:
    """A row as a line of JSON."""
    return f"{json.dumps(row, ensure_ascii=False)}\n".encode(errors=HALVES)


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as JSON lines as they come, whole or not at all."""
    with whole_file(path) as file:
        file.writelines(map(line, rows))


def append_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append rows, each on a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.writelines(map(line, rows))


def read_rows(path: Path, broken: list[int] | None = None) -> Iterator[dict[str, Any]]:
    """Read the rows of JSON lines that have a ``step``; none where there is no file.

    Args:
        path: The file.
        broken: Gets the numbers of the lines that hold none, but for a last one that a kill has cut in two.

    Raises:
        InputError: If the file can't be read.
    """
    refuse_other(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            row = json_of(text)
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                yield row
            elif broken is not None and text.endswith(b"\n"):
                broken.append(number)


def json_of(text: bytes) -> Any:
    """What a whole line of JSON holds; ``None`` of one that is cut or is no JSON."""
    try:
        return json.loads(text) if text.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None


def rows_to_keep(path: Path) -> Iterator[dict[str, Any]]:
    """The same for a file that is about to be written anew: broken lines are told of, and kept beside it."""
    broken: list[int] = []
    yield from read_rows(path, broken)
    keep_damaged(path, broken)


def keep_damaged(path: Path, broken: Sequence[int]) -> None:
    """Keep a file as it was, and say which of its lines are left out from here on.

    Args:
        path: The file.
        broken: Numbers of those lines; nothing happens where there are none.
    """
    if not broken:
        return
    kept = path.with_name(f"{path.name}{DAMAGED}")
    with whole_path(kept) as scratch:
        shutil.copyfile(path, scratch)
    named = ", ".join(map(str, broken[:MOST_NAMED])) + (", ..." if len(broken) > MOST_NAMED else "")
    rank_zero_warn(
        f"Expected a row in every line of {path}, but {len(broken)} can't be read (line {named}). They are left out; "
        f"the file as it was is kept as {kept}."
    )


def write_table(path: Path, columns: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode())


def read_table(path: Path, broken: list[int] | None = None) -> list[dict[str, str]]:
    """Read the rows of a CSV file of numbers that have a ``step``, each without its empty cells; none without a file.

    Args:
        path: The file.
        broken: Gets the numbers of the lines that hold none, but for a last one that a kill has cut in two. One of
            more or fewer cells than there are columns is not read: its numbers may stand below other names.

    Raises:
        InputError: If the file can't be read.
    """
    refuse_other(path)
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")[:-1]
    columns = cells(lines[0]) if lines else []
    rows = []
    for number, line in enumerate(lines[1:], 2):
        values = cells(line)
        row = {name: value for name, value in zip(columns, values, strict=False) if name and value}
        if len(values) == len(columns) and row.get("step", "").isdecimal():
            rows.append(row)
        elif broken is not None and line:
            broken.append(number)
    return rows


def cells(line: str) -> list[str]:
    """The cells of a line of CSV, which ends with it whatever quotes it holds; none where it holds no text."""
    line = line.rstrip("\r")
    whole = line.isprintable() and "\N{REPLACEMENT CHARACTER}" not in line
    return next(csv.reader([line]), []) if whole and len(line) <= csv.field_size_limit() else []

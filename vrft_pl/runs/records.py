"""Records of a run as JSON lines, each with the optimizer step it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from vrft_pl.runs.files import whole_file


def append_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append rows, each on a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def cut_back(path: Path, step: int) -> None:
    """Keep the rows of the steps before ``step``, which a run that goes on there will not write again.

    A line that a kill has cut in two is dropped.

    Args:
        path: JSON lines, each an object with a ``step``; there may be no such file.
        step: Optimizer steps done.
    """
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if _before(line, step)]
    if kept != lines:
        with whole_file(path) as file:
            file.writelines(kept)


def _before(line: bytes, step: int) -> bool:
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] < step
    except (ValueError, KeyError, TypeError):
        return False

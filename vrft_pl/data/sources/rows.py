"""Rows in JSON: Reason-RFT's meta files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vrft_pl.data.images import FileImage
from vrft_pl.data.sources.base import Record, Source, check_limit
from vrft_pl.types import InputError


class ReasonJSON(Source):
    """Reason-RFT style rows: ``id``, ``image`` (path, list of paths or ``{"path": ...}``), ``problem``, ``answer``.

    The answer may be called ``solution`` and may carry ``<answer>`` tags; ``cot`` is optional.

    Args:
        path: A ``.json`` file that holds a list of objects, or a ``.jsonl`` file with one object a line.
        image_root: Folder that image paths are relative to. Defaults to the folder of ``path``.
        limit: Number of rows to use, from the start.

    Raises:
        InputError: If the file is missing, empty, not JSON, or not a list of objects.
        ValueError: If ``limit`` is below 1.
    """

    def __init__(self, path: str, image_root: str | None = None, limit: int | None = None) -> None:
        check_limit(limit)
        self.path = Path(path)
        self.image_root = Path(image_root) if image_root is not None else self.path.parent
        self.rows = read_rows(self.path)[:limit]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read row ``index``; a missing key raises `InputError` with file and row."""
        row = self.rows[index]
        owner = f"{self.path}, row {index}" + (f" (id {row['id']})" if "id" in row else "")
        answer_key = "answer" if "answer" in row else "solution"
        for key in ("problem", answer_key):
            if row.get(key) in (None, ""):
                raise InputError(f"{owner}: expected a value for `{key}`, but got {row.get(key)!r}.")
        if not isinstance(row["problem"], str):
            raise InputError(f"{owner}: expected `problem` to be a string, but got {row['problem']!r}.")
        if not isinstance(row.get("cot"), str | None):
            raise InputError(f"{owner}: expected `cot` to be a string, but got {row['cot']!r}.")
        images = tuple(FileImage(self.image_root / path, owner) for path in image_paths(row, owner))
        problem = row["problem"].replace("<image>", "").strip()
        return Record(owner, images, problem, row[answer_key], row.get("cot"))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a JSON list or JSONL file of objects.

    Raises:
        InputError: If the file is missing, empty, not JSON, or not a list of objects.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a JSON file of rows at {path}, but it can't be read: {error}.") from error
    try:
        if path.suffix == ".jsonl":
            # not `splitlines`: a string of JSON may hold line separators of Unicode
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            rows = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in {path}, but it can't be parsed: {error}.") from error
    if not isinstance(rows, list):
        raise InputError(f"Expected {path} to hold a list of rows, but got a JSON {type(rows).__name__}.")
    if not rows:
        raise InputError(f"Expected at least one row in {path}, but it is empty.")
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"Expected row {i} of {path} to be a JSON object, but got {str(row)[:60]!r}.")
    return rows


def image_paths(row: dict[str, Any], owner: str) -> list[str]:
    """Read the ``image`` (or ``images``) of a row: absent, a path, ``{"path": ...}`` or a list of either."""
    value = row.get("image", row.get("images"))
    values = [] if value is None else value if isinstance(value, list) else [value]
    paths: list[Any] = [item.get("path") if isinstance(item, dict) else item for item in values]
    for path in paths:
        if not isinstance(path, str) or not path:
            raise InputError(f"{owner}: expected `image` to be a path or a list of paths, but got {value!r}.")
    return paths

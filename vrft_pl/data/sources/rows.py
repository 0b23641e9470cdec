"""Rows in JSON: Reason-RFT's meta files."""

from __future__ import annotations

import json
import reprlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrft_pl.data.images import FileImage, below, regular
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.prompts import HALVES, MARKER
from vrft_pl.types import ImageSource, InputError

USED = frozenset(
    (*("problem", "answer", "solution", "cot", "target", "system", "tags", "options", "choices"), "image", "images")
)
"""Keys of a row that are read; every other one is a column of its own."""


class JSONRows(Source):
    """Objects of a JSON file, each a row whose pictures are files. Keys that are not read are its other columns.

    Args:
        path: A ``.json`` file that holds a list of objects, or a ``.jsonl`` file with one object a line.
        image_root: Folder that image paths are relative to and may not leave; ``/`` allows every absolute one. Defaults
            to the folder of ``path``.

    Raises:
        InputError: If the file is missing, empty, not JSON, or not a list of objects.
    """

    def __init__(self, path: str, image_root: str | None = None) -> None:
        self.path = Path(path)
        self.image_root = Path(image_root) if image_root is not None else self.path.parent
        self.rows = read_rows(self.path)

    @abstractmethod
    def record(self, row: dict[str, Any], owner: str) -> Record:
        """Make a record of a row, which ``owner`` names in errors."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read row ``index``; what is wrong with it raises `InputError` with file and row."""
        row = self.rows[index]
        record = self.record(row, f"{self.path}, row {index}" + (f" (id {row['id']})" if "id" in row else ""))
        return replace(record, extra={key: value for key, value in row.items() if key not in self.used})

    @property
    def used(self) -> frozenset[str]:
        """Keys that are read, and so are no columns of their own."""
        return USED

    def pictures(self, row: Mapping[str, Any], owner: str) -> tuple[FileImage, ...]:
        """The pictures of a row."""
        return tuple(FileImage(below(self.image_root, path, owner), owner) for path in image_paths(row, owner))


class ReasonJSON(JSONRows):
    """Reason-RFT style rows: ``id``, ``image`` (path, list of paths or ``{"path": ...}``), ``problem``, ``answer``.

    The answer may be called ``solution`` and may carry ``<answer>`` tags. A row may hold a chain of thought (``cot``),
    the texts of the options of a multiple choice (``options`` or ``choices``), a system prompt (``system``) and split
    tags (``tags``).

    Arguments and errors are those of `JSONRows`.
    """

    def record(self, row: dict[str, Any], owner: str) -> Record:
        """Check a row."""
        return checked_record(row, owner, self.pictures(row, owner), answer="answer" if "answer" in row else "solution")


def checked_record(
    row: Mapping[str, Any],
    owner: str,
    images: tuple[ImageSource, ...],
    problem: str = "problem",
    answer: str = "answer",
    cot: str = "cot",
    extra: Sequence[str] = (),
) -> Record:
    """Make a record of a row.

    Args:
        row: What the source holds.
        owner: The row, named in errors.
        images: Its pictures.
        problem: Key of the question; see `placed_pictures` for its markers of pictures.
        answer: Key of the answer.
        cot: Key of the chain of thought.
        extra: Keys of other columns.

    Raises:
        InputError: If a value is missing or of the wrong type, or the question has markers, but not one a picture.
    """
    for key in (problem, answer):
        if row.get(key) in (None, ""):
            raise InputError(f"{owner}: expected a value for `{key}`, but got {row.get(key)!r}.")
    for key in (problem, cot, "system"):
        if row.get(key) is not None:
            check_text(row[key], key, owner)
    if isinstance(row[answer], str):
        check_text(row[answer], answer, owner)
    return Record(
        id=owner,
        images=images,
        problem=placed_pictures(row[problem], len(images), owner, problem),
        answer=row[answer],
        cot=row.get(cot),
        options=texts(row, "choices" if row.get("options") is None else "options", owner),
        tags=texts(row, "tags", owner),
        system=row.get("system") or None,
        extra={name: row[name] for name in extra},
    )


def placed_pictures(question: str, pictures: int, owner: str, key: str = "problem") -> str:
    r"""A question whose markers say where its pictures belong; those before all text say nothing, and are left out.

    Args:
        question: As it is written, with a marker for each picture or with none.
        pictures: How many there are.
        owner: The row, named in errors.
        key: Where the row holds the question, named in errors.

    Raises:
        InputError: If there is no text, or another number of markers.

    Example:
        >>> placed_pictures("<image>\n<image> How many?", 2, "row 0")
        'How many?'
        >>> placed_pictures("From <image> to <image>?", 2, "row 0")
        'From <image> to <image>?'
    """
    *before, last = [part.strip() for part in question.split(MARKER)]
    if not any((*before, last)):
        raise InputError(f"{owner}: expected a question in `{key}`, but got {question!r}.")
    if len(before) not in (0, pictures):
        raise InputError(
            f"{owner}: expected `{MARKER}` once for each of {pictures} pictures, but got {len(before)}. Without any, "
            "pictures come before the text."
        )
    return question.strip() if any(before) else last


def check_text(value: Any, key: str, owner: str) -> None:
    """Raise `InputError` for what is no string, or one with halves of characters, which JSON may hold."""
    if not isinstance(value, str) or HALVES.search(value):
        raise InputError(f"{owner}: expected `{key}` to be a string, but got {reprlib.repr(value)}.")


def texts(row: Mapping[str, Any], key: str, owner: str) -> tuple[str, ...]:
    """Read a list of strings that a row may have.

    Raises:
        InputError: If it is no list of strings.
    """
    value = row.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) and not HALVES.search(item) for item in value):
        raise InputError(f"{owner}: expected `{key}` to be a list of strings, but got {reprlib.repr(value)}.")
    return tuple(value)


def read_rows(path: Path, cut: list[str] | None = None) -> list[dict[str, Any]]:
    """Read a JSON list or JSONL file of objects.

    Args:
        path: The file.
        cut: Takes what is wrong with a last line of JSONL that is no JSON, as one is whose writer was ended; the line
            is left out then. Defaults to an error.

    Raises:
        InputError: If the file is missing, empty, not JSON, or not a list of objects.
    """
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"Expected a JSON file of rows at {path}, but it can't be read: {error}.") from error
    if path.suffix == ".jsonl":
        # not `splitlines`: a string of JSON may hold line separators of Unicode
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        if cut is not None and lines and (wrong := flaw(lines[-1][1], f"line {lines[-1][0]} of {path}")):
            cut.append(wrong)
            del lines[-1]
        rows = [parsed(line, f"line {number} of {path}") for number, line in lines]
    else:
        rows = parsed(text, str(path)) if text.strip() else []
    if not isinstance(rows, list):
        raise InputError(f"Expected {path} to hold a list of rows, but got a JSON {type(rows).__name__}.")
    if not rows:
        raise InputError(f"Expected at least one row in {path}, but it is empty.")
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"Expected row {i} of {path} to be a JSON object, but got {str(row)[:60]!r}.")
    return rows


def parsed(text: str, place: str) -> Any:
    """Parse JSON; raises `InputError` that names its place."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in {place}, but it can't be parsed: {error}.") from error


def flaw(text: str, place: str) -> str | None:
    """What `parsed` says of a text that it can't parse."""
    try:
        parsed(text, place)
    except InputError as error:
        return str(error)
    return None


def image_paths(row: Mapping[str, Any], owner: str) -> list[str]:
    """Read the ``image`` (or ``images``) of a row: absent, a path, ``{"path": ...}`` or a list of either."""
    value = row.get("images") if row.get("image") is None else row["image"]
    values = [] if value is None else value if isinstance(value, list) else [value]
    paths: list[Any] = [item.get("path") if isinstance(item, dict) else item for item in values]
    for path in paths:
        if not isinstance(path, str) or not path:
            raise InputError(f"{owner}: expected `image` to be a path or a list of paths, but got {value!r}.")
    return paths

"""Reading a data set as it was published, and writing what the sources read."""

from __future__ import annotations

import csv
import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from vrft_pl.runs.rows import write_rows
from vrft_pl.types import InputError

Labelled = tuple[Path, str]
"""A picture and its class name."""
_DAMAGE = (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, zlib.error, MatReadError)
"""What scipy raises on a file that is none of its own."""


def first_of(folder: Path, *names: str) -> Path:
    """Find the first file or folder of several names that exists.

    Raises:
        InputError: If there is none.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise InputError(f"Expected {' or '.join(names)} in {folder}, but there is no such file.")


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file that are neither empty nor a comment.

    Raises:
        InputError: If the file is missing, no text, or holds no line.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a text file at {path}, but it can't be read: {error}.") from error
    if not (kept := [line for line in lines if line and not line.startswith("#")]):
        raise InputError(f"Expected at least one line in {path}, but it is empty.")
    return kept


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: If the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in {path}, but it can't be read: {error}.") from error


def read_mat(path: Path, name: str) -> NDArray[Any]:
    """Read one variable of a MATLAB file, flattened.

    Raises:
        InputError: If the file is missing or damaged, or lacks the variable.
    """
    try:
        variables = loadmat(path, squeeze_me=True)
    except _DAMAGE as error:
        raise InputError(f"Expected a MATLAB file at {path}, but it can't be read: {error}.") from error
    if name not in variables:
        known = sorted(key for key in variables if not key.startswith("__"))
        raise InputError(f"Expected a variable `{name}` in {path}, but got {known}.")
    return np.atleast_1d(variables[name]).ravel()


def pick(values: Sequence[Any] | NDArray[Any], number: object, owner: str) -> Any:
    """Take the value of a number that counts from 1.

    Raises:
        InputError: If there is no such value.
    """
    text = str(number).strip()
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= len(values):
        raise InputError(f"{owner}: expected a number out of 1 to {len(values)}, but got {text!r}.")
    return values[int(text) - 1]


def relative(picture: Path, folder: Path) -> str:
    """Write the path of a picture as a file of ``folder`` names it, by way of a link where it lies elsewhere.

    Raises:
        InputError: If there is no such picture.
    """
    if not picture.is_file():
        raise InputError(f"Expected a picture at {picture}, but there is no such file. Unpack the pictures there.")
    if not Path(os.path.abspath(picture)).is_relative_to(os.path.abspath(folder)):
        picture = linked(picture.parent, folder) / picture.name
    return Path(os.path.relpath(picture, folder)).as_posix()


def linked(pictures: Path, folder: Path) -> Path:
    """A link in ``folder`` to pictures elsewhere: sources read none whose path leads out of the folder of its rows."""
    for number in count():
        link = folder / (f"{pictures.name}-{number}" if number else pictures.name)
        if link.exists() and link.resolve() == pictures.resolve():
            return link
        if not link.exists() and not link.is_symlink():
            folder.mkdir(parents=True, exist_ok=True)
            link.symlink_to(pictures.resolve(), target_is_directory=True)
            return link
    raise AssertionError("numbers end")


def write_labels(path: Path, rows: Iterable[Labelled]) -> None:
    """Write a CSV of ``path,label``, whole or not at all, paths relative to its folder.

    Raises:
        InputError: If a picture is missing, or there is no row.
    """
    lines = [(relative(picture, path.parent), label) for picture, label in rows]
    if not lines:
        raise InputError(f"Expected at least one row for {path.name}, but there is none.")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    with scratch.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "label"), *lines])
    scratch.replace(path)


def write_classes(
    folder: Path, splits: Mapping[str, Sequence[Labelled]], names: Sequence[str], aliases: Mapping[str, list[str]]
) -> dict[str, int]:
    """Write a classification set: a CSV a split, ``classes.txt`` and, where a class has another name, ``aliases.json``.

    Returns:
        Rows by split.
    """
    for split, rows in splits.items():
        write_labels(folder / f"{split}.csv", rows)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    if aliases:
        text = json.dumps(aliases, indent=2, ensure_ascii=False)
        (folder / "aliases.json").write_text(f"{text}\n", encoding="utf-8")
    return {split: len(rows) for split, rows in splits.items()}


def write_splits(folder: Path, splits: Mapping[str, Sequence[Mapping[str, object]]]) -> dict[str, int]:
    """Write rows as JSON lines, a file a split.

    Returns:
        Rows by split.

    Raises:
        InputError: If a split has no row.
    """
    for split, rows in splits.items():
        if not rows:
            raise InputError(f"Expected at least one row for {split}, but there is none.")
        write_rows(folder / f"{split}.jsonl", rows)
    return {split: len(rows) for split, rows in splits.items()}

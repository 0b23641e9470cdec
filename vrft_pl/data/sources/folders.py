"""Pictures with a class name: a folder a class, or a table of paths and labels."""

from __future__ import annotations

import csv
import os
import reprlib
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

from PIL import Image

from vrft_pl.data.images import FileImage, below, regular
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.rows import placed_pictures
from vrft_pl.types import InputError

QUESTION = "This is an image containing an object. Please identify the class of the object based on the image."
"""The question of Visual-RFT (https://arxiv.org/abs/2503.01785, table 1), with no word for the kind of object."""
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow knows by name but leaves to other programs to decode."""


class ImageFolder(Source):
    """Pictures in one folder a class, ``root/class/file.jpg``, in the order of their names.

    Folders inside a class are searched too. Hidden files are left out, and so, with a warning, is what is no picture by
    its extension.

    Args:
        root: Folder of the classes.
        question: Asked of every picture.
        class_names: Names of classes by the name of their folder. A folder that it leaves out is named as it is.

    Raises:
        InputError: If there is no folder, no class in it or no picture in any, or ``class_names`` names no folder.
        ValueError: If the question or a class name is blank.
    """

    def __init__(
        self,
        root: str,
        question: str = QUESTION,
        class_names: dict[str, str] | None = None,
    ) -> None:
        check_question(question)
        names = class_names or {}
        if blank := [folder for folder, name in names.items() if not name.strip()]:
            raise ValueError(f"Expected `class_names` to hold names, but that of {blank[0]!r} is blank.")
        self.root, self.question = Path(root), question
        folders = class_folders(self.root)
        if unknown := sorted(set(names) - set(folders)):
            raise InputError(f"Expected a folder in {self.root} for every one of `class_names`, but not for {unknown}.")
        self.rows: list[tuple[str, str]] = []
        others: list[str] = [entry for entry in sorted(os.listdir(self.root)) if is_picture(entry)]
        for folder in folders:
            pictures, rest = pictures_in(self.root, folder)
            others += rest
            self.rows += [(path, names.get(folder, folder)) for path in pictures]
            if not pictures:
                warnings.warn(f"Expected pictures in {self.root / folder}, but there is none.", stacklevel=2)
        if others:
            text = f"Left out {len(others)} files of {self.root} that are no picture of a class. First: {others[0]}."
            warnings.warn(text, stacklevel=2)
        if not self.rows:
            raise InputError(f"Expected pictures in the folders of {self.root}, but there is none.")

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read picture ``index``; its answer is the name of its class."""
        path, label = self.rows[index]
        owner = f"{self.root}, {path}"
        return Record(owner, (FileImage(self.root / path, owner),), self.question, label)

    def classes(self, index: int) -> tuple[str, ...]:
        """Class of picture ``index``."""
        return (self.rows[index][1],)


class LabelCSV(Source):
    """A table of paths and labels, with a line of column names: CSV or TSV in UTF-8.

    Args:
        path: The table.
        image_root: Folder that paths are relative to. Defaults to the folder of the table.
        path_column: Name of the column of paths, or of several columns for as many pictures a row.
        label_column: Name of the column of labels.
        question: Asked of every row; may have ``<image>`` where each of several pictures belongs.
        delimiter: What stands between two columns. Defaults to a tab in a ``.tsv`` file and to a comma in any other.
        extra: Other columns to read, for rewards and templates (`Sample.extra`); their cells are texts.

    Raises:
        InputError: If the table can't be read, is empty, or lacks a column, or the question has markers, but not one a
            picture.
        ValueError: If the question is blank, or the delimiter is not one character.
    """

    def __init__(
        self,
        path: str,
        image_root: str | None = None,
        path_column: str | list[str] = "path",
        label_column: str = "label",
        question: str = QUESTION,
        delimiter: str | None = None,
        extra: list[str] | None = None,
    ) -> None:
        check_question(question)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise ValueError(f"Expected `delimiter` to be one character that ends no text, but got {delimiter!r}.")
        self.path = Path(path)
        self.image_root = self.path.parent if image_root is None else Path(image_root)
        paths = [path_column] if isinstance(path_column, str) else path_column
        self.question = placed_pictures(question, len(paths), path, "question")
        self.columns = (*paths, label_column)
        self.extra = tuple(extra or ())
        lines = read_table(self.path, delimiter or ("\t" if self.path.suffix.lower() == ".tsv" else ","))
        self.header = [name.strip() for name in next(lines, (0, []))[1]]
        for column in (*self.columns, *self.extra):
            if (count := self.header.count(column)) != 1:
                times = "is missing" if not count else f"occurs {count} times"
                raise InputError(
                    f"{self.path}: expected a column `{column}` among {reprlib.repr(self.header)}, but it {times}."
                )
        wanted = [self.header.index(column) for column in (*self.columns, *self.extra)]
        self.rows: list[tuple[int, int, str, list[str], list[str]]] = []
        for line, row in lines:
            # not all cells: a wide table of a million rows would fill the memory
            cells = [row[i].strip() if i < len(row) else "" for i in wanted]
            label, others = sys.intern(cells[len(paths)]), cells[len(paths) + 1 :]
            self.rows.append((line, len(row), label, cells[: len(paths)], others))
        if not self.rows:
            raise InputError(f"Expected at least one row in {self.path}, but it is empty.")

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read row ``index``; a row of another length or with a blank cell raises `InputError` with its line."""
        line, count, label, paths, others = self.rows[index]
        owner = f"{self.path}, line {line}"
        if count != len(self.header):
            raise InputError(f"{owner}: expected {len(self.header)} columns, but got {count}.")
        for column, value in zip(self.columns, (*paths, label), strict=True):
            if not value:
                raise InputError(f"{owner}: expected a value for `{column}`, but it is blank.")
        images = tuple(FileImage(below(self.image_root, path, owner), owner) for path in paths)
        return Record(owner, images, self.question, label, extra=dict(zip(self.extra, others, strict=True)))


@cache
def extensions() -> frozenset[str]:
    """Extensions of the formats that Pillow decodes, in lower case."""
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in Image.OPEN and name not in NOT_DECODED)


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its name, and not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions()


def class_folders(root: Path) -> list[str]:
    """Names of the folders of a folder, sorted, hidden ones left out.

    Raises:
        InputError: If there is no such folder, or none in it.
    """
    try:
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"Expected a folder of classes at {root}, but it can't be read: {error}.") from error
    if not names:
        raise InputError(f"Expected a folder a class in {root}, but there is none.")
    return names


def pictures_in(root: Path, folder: str) -> tuple[list[str], list[str]]:
    """List the pictures of a class, at any depth, and the other files that are not hidden.

    Links are followed, each folder once.

    Returns:
        Paths relative to ``root``, sorted.

    Raises:
        InputError: If a folder can't be read, or a name is no text.
    """

    def fail(error: OSError) -> NoReturn:
        raise InputError(f"Expected a folder of pictures at {error.filename}, but it can't be read: {error}.")

    pictures: list[str] = []
    others: list[str] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(root / folder, followlinks=True, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        prefix = Path(parent).relative_to(root).as_posix()
        for name in files:
            path = f"{prefix}/{name}"
            if not path.isascii() and os.fsencode(path).decode("utf-8", "replace") != path:
                raise InputError(f"{root}: expected names of files in UTF-8, but got {path!r}.")
            if not name.startswith("."):
                (pictures if is_picture(name) else others).append(path)
    return sorted(pictures), sorted(others)


def read_table(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Read the cells of a table, blank lines left out, each row with the number of its last line.

    Raises:
        InputError: If the file is missing, not UTF-8, or a quoted cell does not end.
    """
    line = 0
    try:
        with regular(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                line = reader.line_num
                if cells:
                    yield line, cells
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a table in UTF-8 at {path}, but it can't be read: {error}.") from error
    except csv.Error as error:
        raise InputError(
            f"{path}, after line {line}: expected rows of cells, but they can't be read: {error}."
        ) from error


def check_question(question: str) -> None:
    """Raise `ValueError` when a question is blank."""
    if not question.strip():
        raise ValueError(f"Expected `question` to be a question, but got {question!r}.")

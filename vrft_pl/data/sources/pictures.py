"""Pictures without answers: what a policy is asked about once it is trained."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from vrft_pl.answers import Instances
from vrft_pl.data.images import FileImage
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.detection import QUESTIONS
from vrft_pl.data.sources.folders import is_picture
from vrft_pl.data.sources.rows import check_text
from vrft_pl.templates import fields_of
from vrft_pl.types import InputError
from vrft_pl.unanswered import Unanswered

FIELDS = ("category", "categories")
"""What a question may hold."""
UNDECODED = (".heic", ".heif", ".svg", ".dng", ".nef", ".cr2", ".cr3", ".arw")
"""Extensions of pictures that Pillow does not decode: each is told of, for a folder of them is no empty one."""


class Pictures(Source):
    """One question about each of many pictures, whose answers nobody knows.

    Args:
        images: Files by path or by glob, and folders, which are searched at any depth; or a list of these. Each file
            counts once, however its path is written, in the order given, those of a folder or a glob by their names.
        problem: The question. One that holds ``{category}`` is asked for each of ``categories``, one that holds
            ``{categories}`` for all of them together. Defaults, where there are ``categories``, to that of
            `COCODetection`.
        categories: Names to ask for, each once.

    Raises:
        InputError: If there is no picture, no file for one of ``images``, or a folder that can't be read.
        ValueError: If there is no question, or it has another field or one that nothing fills in.
    """

    def __init__(
        self, images: str | list[str], problem: str | None = None, categories: list[str] | None = None
    ) -> None:
        self.problem = QUESTIONS["one"] if problem is None and categories else problem or ""
        self.categories = tuple(dict.fromkeys(categories or ()))
        for text in (self.problem, *self.categories):
            check_text(text, "problem", "--problem")
        self.field = check_question(self.problem, self.categories)
        self.files = found_pictures([images] if isinstance(images, str) else images)
        self.asked = [(name,) for name in self.categories] if self.field == "category" else [self.categories]

    @property
    def optional(self) -> bool:
        """A run goes on, so that it can say why no picture could be asked about."""
        return True

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.files) * len(self.asked)

    def __getitem__(self, index: int) -> Record:
        """Read question ``index``, whose answer is `Unanswered`."""
        file, names = self.files[index // len(self.asked)], self.asked[index % len(self.asked)]
        owner = str(file) if len(self.asked) == 1 else f"{file}, {names[0]}"
        listed = {"category": names[0] if names else "", "categories": ", ".join(f"'{name}'" for name in names)}
        problem = self.problem.format(**listed) if self.field else self.problem
        kind = Instances((), names, str(file)) if names else None
        return Record(owner, (FileImage(file, owner),), problem, Unanswered(kind))


def check_question(problem: str, categories: Sequence[str]) -> str | None:
    """Find the field of a question; other braces of one without ``categories`` stand as they are.

    Raises:
        ValueError: If it is blank, no template, or has another field or one that nothing fills in.
    """
    if not problem.strip():
        raise ValueError(f"Expected `problem` to be a question, but got {problem!r}.")
    if not categories:
        if field := next((name for name in FIELDS if f"{{{name}}}" in problem), None):
            raise ValueError(f"Expected `categories` to put in the place of {{{field}}} in `problem`, but got none.")
        return None
    fields = set(fields_of("problem", problem))
    if len(fields) > 1 or not fields <= {(name, "", None) for name in FIELDS}:
        raise ValueError(f"Expected `problem` to hold {{category}} or {{categories}} alone, but got {problem!r}.")
    return next((name for name, *_ in fields), None)


def found_pictures(patterns: Sequence[str]) -> list[Path]:
    """Find the pictures that are meant, each once.

    Raises:
        InputError: If a pattern finds none.
    """
    if not patterns:
        raise InputError("Expected `images` to name a picture, a folder or a glob, but got none.")
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in matching(pattern):
            found.setdefault(place_of(path), Path(path))
    return list(found.values())


def place_of(path: str) -> str:
    """What is the same for all ways to write the path of a file; a link to another file is a picture of its own."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def matching(pattern: str) -> list[str]:
    """Pictures of one pattern; a file that is named is taken for one, whatever its name.

    Raises:
        InputError: If there are none.
    """
    if os.path.isfile(pattern):
        return [pattern]
    if os.path.isdir(pattern):
        found, what = sorted(below(pattern)), f"pictures in the folder {pattern}"
    elif has_magic(pattern):
        matches = sorted(glob(pattern, recursive=True))
        found, what = [path for path in matches if is_meant(os.path.basename(path))], f"pictures that match {pattern}"
    else:
        found, what = [], f"a picture, a folder or a glob at {pattern}"
    if not found:
        raise InputError(f"Expected {what}, but there is none.")
    return found


def below(folder: str) -> Iterator[str]:
    """Pictures of a folder, at any depth, hidden ones left out.

    Raises:
        InputError: If it, or a folder in it, can't be read.
    """
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(parent, name) for name in files if is_meant(name))


def refuse(error: OSError) -> None:
    """Raise `InputError` for a folder that can't be read."""
    raise InputError(f"Expected to read the folder {error.filename}, but: {error.strerror}.") from error


def is_meant(name: str) -> bool:
    """Whether a file is a picture by its name, also one that can't be decoded."""
    return is_picture(name) or (not name.startswith(".") and name.lower().endswith(UNDECODED))

"""Classification: the answer is the name of a class (Flowers-102, Pets-37, FGVC-Aircraft, Cars-196, your own)."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from vrft_pl.answers import Label, Solution
from vrft_pl.data.base import VisionTask
from vrft_pl.data.misplaced import refuse_other
from vrft_pl.data.sources import Record
from vrft_pl.data.written import untagged
from vrft_pl.names import normalize_name
from vrft_pl.types import InputError, Sample

LONGEST_LABEL = 100
"""Characters of a wrong label that are compared with the known names."""


class Classification(VisionTask):
    """Questions whose answer is the name of a class.

    Names are compared in the form of `vrft_pl.names.normalize_name`. A row may name its class by an alias;
    the policy is then taught the name, and may answer with either.

    Args:
        classes: Names of the classes, or a text file with one a line. A row of another class is wrong. Without them any
            name is a class.
        aliases: Other names of a class by its name, or a JSON file of them.
        list_classes: Append the names to the question: needed where they can't be guessed.
        **kwargs: Those of `VisionTask`.

    Raises:
        InputError: If a file can't be read.
        ValueError: If there is no class, a name is blank or stands for two classes, an alias is that of an unknown
            class, or ``list_classes`` is set and there are no ``classes``.

    Example:
        >>> from vrft_pl.data import Record
        >>> task = Classification(["fire lily", "tiger lily"], {"fire lily": ["flame lily"]})
        >>> task.solution(Record("row 1", (), "Which flower?", "Fire_Lily"))
        Label(name='fire lily', aliases=('flame lily',))
    """

    def __init__(
        self,
        classes: list[str] | str | None = None,
        aliases: dict[str, list[str]] | str | None = None,
        list_classes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.classes = read_classes(Path(classes)) if isinstance(classes, str) else classes
        if self.classes is not None and not self.classes:
            raise ValueError("Expected `classes` to hold at least one name, but got none.")
        if list_classes and self.classes is None:
            raise ValueError("Expected `classes` to be given where `list_classes` is set, but got None.")
        self.aliases = read_aliases(Path(aliases)) if isinstance(aliases, str) else aliases or {}
        self.list_classes = list_classes
        self.labels = label_table(self.classes, self.aliases)

    def solution(self, record: Record) -> Solution:
        """Read the answer: a `Label`, or a name with or without ``<answer>`` tags."""
        refuse_other(record.answer, record.id, "Classification")
        answer: Any = record.answer
        further: tuple[str, ...] = ()
        if isinstance(answer, Label):
            answer, further = answer.name, answer.aliases
        name = untagged(answer) if isinstance(answer, str) else ""
        key = normalize_name(name)
        if not key or "answer>" in key:
            raise InputError(f"{record.id}: expected the answer to be a class name, but got {reprlib.repr(answer)}.")
        label = self.labels.get(key)
        if label is None and self.classes is not None:
            nearest = nearest_name(key[:LONGEST_LABEL], tuple(self.labels))
            hint = f" The nearest is {self.labels[nearest].name!r}." if nearest else ""
            raise InputError(
                f"{record.id}: expected one of the {len(self.classes)} `classes`, but got {name[:80]!r}.{hint}"
            )
        label = Label(name) if label is None else label
        return replace(label, aliases=tuple(dict.fromkeys((*label.aliases, *further)))) if further else label

    def unanswered(self, record: Record) -> Solution:
        """A class name."""
        return Label("?")

    def sample(self, record: Record, split: str) -> Sample:
        """Turn a row into a checked Sample, the classes listed where that is asked for."""
        sample = super().sample(record, split)
        if not self.list_classes or self.classes is None:
            return sample
        separator = "; " if any("," in name for name in self.classes) else ", "
        return replace(sample, problem=f"{sample.problem} The class is one of: {separator.join(self.classes)}.")


def label_table(classes: Sequence[str] | None, aliases: Mapping[str, Sequence[str]]) -> dict[str, Label]:
    """Find the label of every name and alias, by its form of `normalize_name`.

    Args:
        classes: Names of the classes; ``None`` where any name is one.
        aliases: Other names of a class, by its name.

    Raises:
        ValueError: If a name is blank or stands for two classes, or an alias is that of an unknown class.
    """
    owners: dict[str, str] = {}
    for name in aliases if classes is None else classes:
        claim_name(owners, name, name)
    others: dict[str, list[str]] = {name: [] for name in owners.values()}
    for name, further in aliases.items():
        owner = owners.get(normalize_name(name))
        if owner is None:
            raise ValueError(f"Expected `aliases` of names in `classes`, but got those of {name!r}.")
        for alias in further:
            if owners.get(normalize_name(alias)) != owner:
                claim_name(owners, alias, owner)
                others[owner].append(alias)
    labels = {name: Label(name, tuple(further)) for name, further in others.items()}
    return {key: labels[owner] for key, owner in owners.items()}


def claim_name(owners: dict[str, str], name: str, owner: str) -> None:
    """Enter a name of a class.

    Raises:
        ValueError: If it is blank, or taken.
    """
    key = normalize_name(name)
    if not key:
        raise ValueError(f"Expected names of classes, but got {name!r}.")
    if key in owners:
        raise ValueError(
            f"Expected a name to stand for one class, but {name!r} stands for {owners[key]!r} and {owner!r}."
        )
    owners[key] = owner


@lru_cache(maxsize=4096)
def nearest_name(name: str, known: tuple[str, ...]) -> str | None:
    """Find the known name that is most like another, if one is."""
    return next(iter(get_close_matches(name, known, n=1)), None)


def read_classes(path: Path) -> list[str]:
    """Read the names of classes, one a line.

    Raises:
        InputError: If the file is missing, not UTF-8, or holds no name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"Expected a text file of class names at {path}, but it can't be read: {error}.") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"Expected at least one class name in {path}, but it is empty.")
    return names


def read_aliases(path: Path) -> dict[str, list[str]]:
    """Read the aliases of classes.

    Raises:
        InputError: If the file is missing, not JSON, or no object of lists of text.
    """
    try:
        aliases = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Expected a JSON file of aliases at {path}, but it can't be read: {error}.") from error
    if not isinstance(aliases, dict):
        raise InputError(f"Expected {path} to hold lists of aliases by class, but got a JSON {type(aliases).__name__}.")
    for name, further in aliases.items():
        if not isinstance(further, list) or not all(isinstance(alias, str) for alias in further):
            raise InputError(f"{path}: expected a list of aliases for {name!r}, but got {reprlib.repr(further)}.")
    return aliases

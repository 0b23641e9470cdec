"""What a source of rows is, before a task family has checked their answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from vrft_pl.types import ImageSource


@dataclass(frozen=True)
class Record:
    """One row as its source holds it."""

    id: str
    """Unique within the source; for files it starts with the file's name and the row."""
    images: tuple[ImageSource, ...]
    """Pictures in the order of the question."""
    problem: str
    """The question."""
    answer: Any
    """Ground truth as written in the source; the task family turns it into a typed solution."""
    cot: str | None = None
    """Chain of thought, if the source has one."""
    options: tuple[str, ...] = ()
    """Texts of the options of a multiple choice, from A on, where the source tells them from the question."""
    tags: tuple[str, ...] = ()
    """Split tags of this row, beside those of its split."""
    system: str | None = None
    """System prompt of this row; the task's own takes its place."""
    target: str | None = None
    """The whole turn to imitate, in place of the one that the style writes."""
    extra: dict[str, Any] = field(default_factory=dict, hash=False)
    """Other columns of the row, as they are; see `Sample.extra`."""


class Source(ABC):
    """A sequence of records with random access."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def __getitem__(self, index: int) -> Record:
        """Read row ``index``."""

    def __iter__(self) -> Iterator[Record]:
        """Read every row."""
        return (self[i] for i in range(len(self)))

    @property
    def procedural(self) -> bool:
        """Whether rows are made on the spot, and so need neither checking nor a second pass."""
        return False

    @property
    def streamed(self) -> bool:
        """Whether there may be more rows than fit into memory.

        Each is then checked when it is read, not before; but held-out rows are gone through once at the start where the
        task skips bad ones.
        """
        return False

    @property
    def optional(self) -> bool:
        """Whether a run that skips bad rows goes on where this has no good one."""
        return False

    @property
    def blocks(self) -> Sequence[range] | None:
        """Runs of rows that are stored, and fast to read, together; ``None`` where any order is as good."""
        return None

    def classes(self, index: int) -> tuple[str, ...]:
        """Classes of row ``index``, for few-shot subsets. Opens no picture."""
        return (str(self[index].answer),)

    def chosen(self) -> list[str] | None:
        """Ids of the rows of a subset that was drawn; ``None`` where nothing was drawn."""
        return None

    def with_seed(self, seed: int) -> Self:
        """Return the source for a seed. Files do not depend on one."""
        return self

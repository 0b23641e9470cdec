"""Rows of a source that a file names, in its order, with thoughts or whole turns of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.rows import check_text, read_rows
from vrft_pl.data.subsets import Subset
from vrft_pl.types import InputError


@dataclass(frozen=True)
class Listing:
    """One line of the file: which row, and what it says in place of the row's own."""

    row: int
    """Position in the source."""
    id: str
    """Of that row; another one there is an error."""
    cot: str | None = None
    """Chain of thought, in place of the row's."""
    target: str | None = None
    """The whole turn to imitate, in place of the one that the style writes."""


class Listed(Subset):
    """The rows that a JSONL file names, in its order; a row may be named more than once.

    A line is ``{"row": 17, "id": "...", "cot": "...", "target": "..."}``, the last two where it has them: the chain of
    thought, and the whole turn to imitate, with coordinates as the policy writes them.

    Args:
        source: Where the rows come from.
        path: The file.
        seed: Seed of a source that makes its rows. That of the run does not change it.

    Raises:
        InputError: If the file is missing, empty or no JSONL, a line is wrong, or a row has another id than its line.

    Example:
        >>> from tempfile import NamedTemporaryFile
        >>> from vrft_pl.data import CountingScenes
        >>> with NamedTemporaryFile("w", suffix=".jsonl") as file:
        ...     _ = file.write('{"row": 2, "id": "CountingScenes(base, seed 7) row 2", "cot": "One, two."}')
        ...     file.flush()
        ...     rows = Listed(CountingScenes(), file.name, seed=7)
        >>> [(record.id, record.cot) for record in rows]
        [('CountingScenes(base, seed 7) row 2', 'One, two.')]
    """

    def __init__(self, source: Source, path: str, seed: int = 0) -> None:
        source = source.with_seed(seed) if source.procedural else source
        self.path = Path(path)
        self.listings = [self._listing(line, i, len(source)) for i, line in enumerate(read_rows(self.path))]
        super().__init__(source, seed)
        if not source.streamed:  # rows of a stream are compared when they are read
            for index in range(len(self)):
                self._compare(index)

    def draw(self) -> list[int]:
        """Take the rows in the file's order."""
        return [listing.row for listing in self.listings]

    def __getitem__(self, index: int) -> Record:
        """Read row ``index`` of the file."""
        listing = self.listings[index]
        record = self._same(super().__getitem__(index), index)
        cot = record.cot if listing.cot is None else listing.cot
        return replace(record, cot=cot, target=record.target if listing.target is None else listing.target)

    @property
    def blocks(self) -> Sequence[range] | None:
        """Those of the source where the file keeps its order; ``None`` where it does not."""
        return super().blocks if self.rows == sorted(self.rows) else None

    def chosen(self) -> list[str] | None:
        """Ids of the rows, as the file has them."""
        return [listing.id for listing in self.listings]

    def with_seed(self, seed: int) -> Self:
        """Return the same rows."""
        return self

    def _listing(self, line: dict[str, Any], index: int, size: int) -> Listing:
        """Check a line."""
        owner = f"{self.path}, row {index}"
        if unknown := sorted(set(line) - {"row", "id", "cot", "target"}):
            raise InputError(f"{owner}: expected only `row`, `id`, `cot` and `target`, but got {unknown}.")
        row = line.get("row")
        if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < size:
            raise InputError(
                f"{owner}: expected `row` to be a row of the source, from 0 to {size - 1}, but got {row!r}."
            )
        for key in ("id", "cot", "target"):
            if key == "id" or line.get(key) is not None:
                check_text(line.get(key), key, owner)
        if line.get("target") is not None and not line["target"].strip():
            raise InputError(f"{owner}: expected `target` to be a turn to imitate, but it is blank. Leave it out.")
        return Listing(row, line["id"], line.get("cot"), line.get("target"))

    def _compare(self, index: int) -> None:
        try:
            record = self.source[self.rows[index]]
        except InputError:
            return  # the task stops at a bad row or skips it, and says so
        self._same(record, index)

    def _same(self, record: Record, index: int) -> Record:
        """Return the row if it is the one that the file means."""
        if record.id != self.listings[index].id:
            raise InputError(
                f"{self.path}, row {index}: expected row {self.rows[index]} of the source to be "
                f"{self.listings[index].id!r}, but it is {record.id!r}. Write the file anew from this source and seed."
            )
        return record

"""Parts of a source: its first rows, or few-shot sets and fractions for curves of data efficiency, drawn by seed."""

from __future__ import annotations

import bisect
import warnings
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

import numpy as np

from vrft_pl.data.sources.base import Record, Source
from vrft_pl.types import InputError


class Subset(Source):
    """Some rows of another source, in its order.

    Args:
        source: Where they come from.
        seed: Seed of the draw. That of the run does not change it, so that arms of a comparison share their rows.
    """

    def __init__(self, source: Source, seed: int = 0) -> None:
        self.source, self.seed = source, seed
        self.rows = self.draw()

    @abstractmethod
    def draw(self) -> Sequence[int]:
        """Draw the rows, from the least to the greatest."""

    def __len__(self) -> int:
        """Number of rows drawn."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read row ``index`` of those drawn."""
        return self.source[self.rows[index]]

    @property
    def procedural(self) -> bool:
        """Whether the rows of the source are made on the spot."""
        return self.source.procedural

    @property
    def streamed(self) -> bool:
        """Whether the rows of the source may not fit into memory."""
        return self.source.streamed

    @property
    def blocks(self) -> Sequence[range] | None:
        """What was drawn from each block of the source that has some of it."""
        if self.source.blocks is None:
            return None
        edges = [bisect.bisect_left(self.rows, edge) for b in self.source.blocks for edge in (b.start, b.stop)]
        drawn = [range(*edges[i : i + 2]) for i in range(0, len(edges), 2)]
        return [block for block in drawn if block]

    def classes(self, index: int) -> tuple[str, ...]:
        """Classes of row ``index`` of those drawn."""
        return self.source.classes(self.rows[index])

    def chosen(self) -> list[str] | None:
        """Ids of the rows drawn; of a stream, which is not read for this, their positions.

        A row that can't be read is named by its position too: the task reports it.
        """
        return [self._id(row) for row in self.rows]

    def with_seed(self, seed: int) -> Self:
        """Draw the same way from the source for a seed."""
        source = self.source.with_seed(seed)
        if source is self.source:
            return self
        other = copy(self)
        other.source = source
        other.rows = other.draw()
        return other

    def _id(self, row: int) -> str:
        if not self.streamed:
            try:
                return self.source[row].id
            except InputError:
                pass
        return f"row {row}"


class First(Subset):
    """The first rows, all where there are fewer. No row is read for it.

    Args:
        source: Where the rows come from.
        rows: Number of rows.

    Raises:
        ValueError: If ``rows`` is below 1.
    """

    def __init__(self, source: Source, rows: int) -> None:
        if rows < 1:
            raise ValueError(f"Expected `rows` to be at least 1, but got {rows}.")
        self.size = rows
        super().__init__(source)

    def draw(self) -> range:
        """Take the first rows."""
        return range(min(self.size, len(self.source)))

    def chosen(self) -> list[str] | None:
        """Ids of those rows that the source drew, if it drew any."""
        drawn = self.source.chosen()
        return None if drawn is None else drawn[: self.size]


class Fraction(Subset):
    """A share of the rows. Of two shares with one seed the smaller is part of the larger.

    Args:
        source: Where the rows come from.
        fraction: Share of the rows, above 0; at least one row is drawn.
        rows: Number of rows, in place of a share.
        seed: Seed of the draw. That of the run does not change it.

    Raises:
        ValueError: If not one of ``fraction`` and ``rows`` is given, or it is out of its range.
    """

    def __init__(self, source: Source, fraction: float | None = None, rows: int | None = None, seed: int = 0) -> None:
        if (fraction is None) == (rows is None):
            raise ValueError(f"Expected one of `fraction` and `rows`, but got {fraction} and {rows}.")
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError(f"Expected `fraction` to be above 0 and at most 1, but got {fraction}.")
        if rows is not None and not 1 <= rows <= len(source):
            raise ValueError(f"Expected `rows` to be between 1 and the {len(source)} of the source, but got {rows}.")
        self.size = rows if fraction is None else max(1, round(fraction * len(source)))
        super().__init__(source, seed)

    def draw(self) -> list[int]:
        """Take the first rows of an order that depends on the seed alone."""
        order = np.random.default_rng([zlib.crc32(b"Fraction"), self.seed]).permutation(len(self.source))
        return sorted(order[: self.size].tolist())


class FewShot(Subset):
    """A few rows of each class. Of two sets with one seed the one with fewer shots is part of the other.

    A row of several classes counts for each of them, so that a class may get more rows than asked for, but no row is
    drawn for a class that has enough. What counts are rows, not objects in them.

    Args:
        source: Where the rows come from. Its classes are read at the start, its pictures are not.
        shots: Rows of each class.
        seed: Seed of the draw. That of the run does not change it.
        negatives: Share of the set that has no class, such as pictures in which nothing is to be found.
        too_few: What a class with fewer rows than ``shots`` does: ``warn`` takes all it has, ``error`` raises.

    Raises:
        InputError: If the source has no class, is streamed, or has too few rows of a class or without one and
            ``too_few`` is ``error``.
        ValueError: If ``shots`` is below 1 or ``negatives`` is not a share below 1.
    """

    def __init__(
        self,
        source: Source,
        shots: int,
        seed: int = 0,
        negatives: float = 0.0,
        too_few: Literal["warn", "error"] = "warn",
    ) -> None:
        if shots < 1:
            raise ValueError(f"Expected `shots` to be at least 1 row of each class, but got {shots}.")
        if not 0 <= negatives < 1:
            raise ValueError(f"Expected `negatives` to be a share from 0 to below 1, but got {negatives}.")
        if source.streamed:
            raise InputError(
                f"FewShot needs the classes of all rows, but {type(source).__name__} is streamed. Use `Fraction`, or a "
                "source that is not streamed."
            )
        self.shots, self.negatives, self.too_few = shots, negatives, too_few
        super().__init__(source, seed)

    def draw(self) -> list[int]:
        """Draw row by row, one for each class in turn, until each has enough."""
        classes, unreadable = self._classes()
        rows_of: dict[str, list[int]] = {}
        for row, names in enumerate(classes):
            for name in names:
                rows_of.setdefault(name, []).append(row)
        if not rows_of:
            raise InputError(f"Expected rows with a class for few-shot sets, but none of {len(classes)} has one.")
        drawn: set[int] = set()
        counts: Counter[str] = Counter()
        queues = {name: iter(self._shuffled(rows_of[name], name)) for name in sorted(rows_of)}
        # round by round: a set of fewer shots is what a larger one looks like after as many rounds
        for shot in range(1, self.shots + 1):
            for name, queue in queues.items():
                fresh = next((row for row in queue if row not in drawn), None) if counts[name] < shot else None
                if fresh is not None:
                    drawn.add(fresh)
                    counts.update(classes[fresh])
        self._warn({name: counts[name] for name in queues if counts[name] < self.shots})
        without = [row for row, names in enumerate(classes) if not names and row not in unreadable]
        wanted = round(len(drawn) * self.negatives / (1 - self.negatives))
        if wanted > len(without):
            self._warn({"rows without a class": len(without)}, wanted)
        # what can't be read is kept, so that the task stops at it or skips it, and says so
        return sorted([*drawn, *self._shuffled(without, "")[:wanted], *unreadable])

    def _classes(self) -> tuple[list[tuple[str, ...]], set[int]]:
        """Read the classes of every row, and find the rows that can't be read."""
        classes: list[tuple[str, ...]] = []
        unreadable = set()
        for row in range(len(self.source)):
            try:
                classes.append(tuple(dict.fromkeys(self.source.classes(row))))
            except InputError:
                classes.append(())
                unreadable.add(row)
        return classes, unreadable

    def _shuffled(self, rows: list[int], name: str) -> list[int]:
        rng = np.random.default_rng([zlib.crc32(name.encode()), self.seed])
        return [rows[i] for i in rng.permutation(len(rows))]

    def _warn(self, counts: dict[str, int], wanted: int | None = None) -> None:
        """Say which classes have too few rows."""
        if not counts:
            return
        few = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:10])
        few += f" and {len(counts) - 10} more" if len(counts) > 10 else ""
        message = f"Expected at least {self.shots if wanted is None else wanted} rows of each class, but got {few}."
        if self.too_few == "error":
            raise InputError(message)
        warnings.warn(message, stacklevel=2)

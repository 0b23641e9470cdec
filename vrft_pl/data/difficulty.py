"""Rows that are neither too hard nor too easy for the policy that training starts from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from vrft_pl.data.fingerprint import fingerprint
from vrft_pl.data.sources.base import Source
from vrft_pl.data.subsets import Subset
from vrft_pl.types import InputError

ANEW = "Write it anew by `vrft_pl check --write_difficulty`."


class RowRate(NamedTuple):
    """How often the policy solves a row."""

    id: str
    hash: str
    """Of the row, its pictures included (`vrft_pl.data.fingerprint`)."""
    rate: float
    """Share of its completions that are right."""
    completions: int
    """Completions that were sampled."""


class DifficultyBand(Subset):
    """Rows of another source whose success rate, measured before training, is in a band.

    Offline difficulty filtering as in https://arxiv.org/abs/2504.03380. A row is known by its id and by a hash of its
    question, answer and pixels, so that rates are never those of another row; all pictures are read for it when rows
    are first asked for.

    Args:
        source: Where the rows come from.
        path: File of rates that ``vrft_pl check --write_difficulty`` wrote.
        low: Lowest rate that is kept.
        high: Highest rate that is kept.

    Raises:
        InputError: If the file can't be read, or the source is streamed.
        ValueError: If it is no band of shares.
    """

    def __init__(self, source: Source, path: str, low: float = 0.1, high: float = 0.9) -> None:
        if not 0 <= low <= high <= 1:
            raise ValueError(f"Expected 0 <= `low` <= `high` <= 1, but got {low} and {high}.")
        if source.streamed:
            raise InputError(
                f"DifficultyBand needs all rows, but {type(source).__name__} is streamed. Use a source that is not."
            )
        self.path, self.low, self.high = path, low, high
        self.rates = read_rates(Path(path))
        super().__init__(source)

    def draw(self) -> Sequence[int]:
        """Keep the rows in the band, once they are asked for: a seed may be yet to come."""
        return KeptRows(self)


class KeptRows(Sequence[int]):
    """The rows of a band, found when they are first asked for.

    Args:
        band: Source, rates and band as they are now.
    """

    def __init__(self, band: DifficultyBand) -> None:
        self.source, self.rates, self.path = band.source, band.rates, band.path
        self.low, self.high = band.low, band.high

    @cached_property
    def rows(self) -> list[int]:
        """Find the rows.

        Raises:
            InputError: If the file has no rate of a row, or of another version of it, or none is in the band.
        """
        rows = [row for row in range(len(self.source)) if self.low <= self._rate(row) <= self.high]
        if not rows:
            raise InputError(
                f"Expected rows with a rate from {self.low:g} to {self.high:g}, but {self.path} has none of "
                f"{len(self.source)}. Widen the band."
            )
        return rows

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # of a position or a slice
        """One of the rows, or some."""
        return self.rows[index]

    def _rate(self, row: int) -> float:
        name = self.source[row].id
        if (known := self.rates.get(name)) is None:
            raise InputError(f"Expected a rate of every row in {self.path}, but {name} has none. {ANEW}")
        if fingerprint(self.source, [row]) != known.hash:
            raise InputError(f"Expected the rows that {self.path} was written for, but {name} has changed. {ANEW}")
        return known.rate


def read_rates(path: Path) -> dict[str, RowRate]:
    """Read a file of rates, by the id of the row.

    Raises:
        InputError: If it can't be read, naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a file of success rates, but {path} can't be read: {error}. {ANEW}") from error
    rates: dict[str, RowRate] = {}
    for number, line in enumerate(lines, start=1):
        rate = _row_rate(line)
        if rate is None or rate.id in rates:
            what = "another form" if rate is None else f"a second rate of {rate.id}"
            raise InputError(f"Expected the rate of another row in line {number} of {path}, but got {what}. {ANEW}")
        rates[rate.id] = rate
    return rates


def _row_rate(line: str) -> RowRate | None:
    """A line of the file; ``None`` for one of another form."""
    try:
        rate = RowRate(**json.loads(line))
    except (ValueError, TypeError):
        return None
    numbers = isinstance(rate.rate, int | float) and isinstance(rate.completions, int)
    named = isinstance(rate.id, str) and isinstance(rate.hash, str)
    return rate if numbers and named and 0 <= rate.rate <= 1 else None

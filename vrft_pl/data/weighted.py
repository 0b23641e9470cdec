"""Rows that are drawn by weight, window by window."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch

from vrft_pl.data.order import DealtRows


class WeightedRows(DealtRows):
    """Draws the rows of each window when its turn comes, by weights of that moment.

    An epoch has as many rows as ever. Within a window none comes twice while there are enough; the next draws from all
    again. What is drawn depends on the seed, the epoch, the place of the window and the weights, and not on the number
    of ranks that share it.

    Args:
        weights: Those of all rows now, above 0, the same on every rank. Shape ``(num_rows,)``.
        generator: Says by its seed which epoch of which run it is; nothing is drawn from it.
        num_rows: Those of `DealtRows`, as the rest.
        batch_size: Likewise.
        num_ranks: Likewise.
        rank: Likewise.
    """

    def __init__(
        self,
        weights: Callable[[], np.ndarray],
        generator: torch.Generator,
        num_rows: int,
        batch_size: int,
        num_ranks: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(num_rows, batch_size, num_ranks, rank)
        self.weights, self.generator = weights, generator
        self.window = batch_size * num_ranks
        """Rows of all ranks that are drawn at once."""
        self.drawn: list[int] = []
        """Rows of all ranks that this epoch has drawn so far."""
        self._seed: int | None = None
        self._rows = super().__iter__()

    def start(self, window: int) -> None:
        """Begin an epoch, or begin again one that has drawn some rows, which are then read as they were.

        Args:
            window: Rows of this rank that are read at once, each by one call of ``iter``.
        """
        self.window = window * self.num_ranks
        if self._seed != self.generator.initial_seed():
            self._seed, self.drawn = self.generator.initial_seed(), []
        self._rows = super().__iter__()

    def __iter__(self) -> Iterator[int]:
        """Read this rank's rows of the next window."""
        yield from islice(self._rows, self.window // self.num_ranks)

    def order(self) -> Iterator[int]:
        """Rows of all ranks, each window drawn when it is first asked for."""
        for start in range(0, self.num_rows, self.window):
            count = min(self.window, self.num_rows - start)
            if start == len(self.drawn):
                self.drawn += self._draw("window", start, count)
            yield from self.drawn[start : start + count]

    def beyond(self, start: int, count: int) -> list[int]:
        """Further rows of all ranks, drawn by the weights of this moment; see `DealtRows.beyond`."""
        return self._draw("beyond", start, count)

    def state_dict(self) -> dict[str, Any]:
        """What the epoch has drawn."""
        return {"seed": self._seed, "drawn": list(self.drawn)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Read it again before anything is drawn."""
        self._seed, self.drawn = state["seed"], list(state["drawn"])

    def _draw(self, what: str, start: int, count: int) -> list[int]:
        """Draw without replacement (Efraimidis and Spirakis, 2006, algorithm A-Res), anew when all rows are out."""
        generator = np.random.default_rng([zlib.crc32(what.encode()), self.generator.initial_seed(), start])
        rows: list[int] = []
        while len(rows) < count:
            waits = generator.exponential(size=self.num_rows) / self.weights()
            rows += np.argsort(waits, kind="stable")[: count - len(rows)].tolist()
        return rows

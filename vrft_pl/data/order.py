"""The order in which rows are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

MIXED_BLOCKS = 4
"""Blocks whose rows are shuffled together, which a source should keep in memory at once."""


class BlockSampler(Sampler[int]):
    """Shuffles rows that are stored in blocks so that few blocks are open at a time.

    Blocks are shuffled, and the rows of each few that follow each other are shuffled together. The order is drawn when
    it is first asked for and depends on the generator alone. Each rank of a distributed run reads one stretch of it, so
    that it opens few blocks that another one opens too; the last stretches go on with the first rows where rows don't
    come out even.

    Args:
        blocks: Rows that are stored together; every row in one of them.
        generator: Source of randomness.
        num_ranks: Processes that share the rows.
        rank: This one.
    """

    def __init__(self, blocks: Sequence[range], generator: torch.Generator, num_ranks: int = 1, rank: int = 0) -> None:
        self.blocks, self.generator, self.num_ranks, self.rank = blocks, generator, num_ranks, rank
        self._size = -(-sum(map(len, blocks)) // num_ranks)

    def __len__(self) -> int:
        """Rows of this rank."""
        return self._size

    def __iter__(self) -> Iterator[int]:
        """Draw an order, of which only the blocks at hand are in memory."""
        start, stop = self.rank * self._size, (self.rank + 1) * self._size
        first: list[int] = []
        position = 0
        for rows in self._mixed():
            first += rows[: self.num_ranks - len(first)]
            yield from rows[max(0, start - position) : max(0, stop - position)]
            position += len(rows)
            if position >= stop:
                return
        for repeated in range(max(start, position), stop):
            yield first[(repeated - position) % len(first)]

    def _mixed(self) -> Iterator[list[int]]:
        """Yield the rows of a few blocks at a time, shuffled."""
        # of its own: whoever else draws from the sampler's generator while rows are read must not change their order
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
        order = torch.randperm(len(self.blocks), generator=generator).tolist()
        for start in range(0, len(order), MIXED_BLOCKS):
            rows = [row for block in order[start : start + MIXED_BLOCKS] for row in self.blocks[block]]
            yield [rows[i] for i in torch.randperm(len(rows), generator=generator).tolist()]

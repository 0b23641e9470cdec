"""The order in which rows are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

MIXED_BLOCKS = 4
"""Blocks whose rows are shuffled together, which a source should keep in memory at once."""


class BlockSampler(Sampler[int]):
    """Shuffles rows that are stored in blocks so that few blocks are open at a time.

    Blocks are shuffled, and the rows of each few that follow each other are shuffled together. The order depends on the
    generator alone. Ranks of a distributed run take turns; the last ones read a first row again where rows don't come
    out even.

    Args:
        blocks: Rows that are stored together; every row in one of them.
        generator: Source of randomness.
        num_ranks: Processes that share the rows.
        rank: This one.
    """

    def __init__(self, blocks: Sequence[range], generator: torch.Generator, num_ranks: int = 1, rank: int = 0) -> None:
        self.blocks, self.generator, self.num_ranks, self.rank = blocks, generator, num_ranks, rank

    def __len__(self) -> int:
        """Rows of this rank."""
        return -(-sum(map(len, self.blocks)) // self.num_ranks)

    def __iter__(self) -> Iterator[int]:
        """Draw an order, of which only the blocks at hand are in memory."""
        order = torch.randperm(len(self.blocks), generator=self.generator).tolist()
        first: list[int] = []
        position = 0
        for start in range(0, len(order), MIXED_BLOCKS):
            rows = [row for block in order[start : start + MIXED_BLOCKS] for row in self.blocks[block]]
            for i in torch.randperm(len(rows), generator=self.generator).tolist():
                if len(first) < self.num_ranks:
                    first.append(rows[i])
                if position % self.num_ranks == self.rank:
                    yield rows[i]
                position += 1
        missing = -position % self.num_ranks
        if self.rank >= self.num_ranks - missing:
            yield first[(self.rank - (self.num_ranks - missing)) % len(first)]

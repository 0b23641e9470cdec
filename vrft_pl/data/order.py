"""The order in which rows are read, the same for every number of processes that share them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import chain, islice, repeat

import torch
from torch.utils.data import Sampler

BEYOND = 2**40
"""What is added to the seed of an epoch's order for the rows that are read beyond it."""
MIXED_BLOCKS = 4
"""Blocks whose rows are shuffled together, which a source should keep in memory at once."""


class DealtRows(Sampler[int]):
    """Deals the rows of one order out in turn, so that ranks together read in each step what one process would.

    Where rows don't come out even, some ranks have one less; where that leaves one of them a batch short, it reads the
    first row of the order again, which is to count nothing (`pads`).

    Args:
        num_rows: Rows of all ranks.
        batch_size: Rows of a batch of one rank.
        num_ranks: Processes that share the rows.
        rank: This one.
    """

    generator: torch.Generator
    """Source of randomness."""

    def __init__(self, num_rows: int, batch_size: int, num_ranks: int = 1, rank: int = 0) -> None:
        self.num_rows, self.num_ranks, self.rank = num_rows, num_ranks, rank
        self._own, most = (len(range(first, num_rows, num_ranks)) for first in (rank, 0))
        self.pads = -(-self._own // batch_size) < -(-most // batch_size)
        """Whether the last batch is a row that another rank reads, there for the number of batches alone."""

    def __len__(self) -> int:
        """Rows of this rank, the one that counts nothing included."""
        return self._own + self.pads

    def __iter__(self) -> Iterator[int]:
        """Draw an order and read this rank's rows of it."""
        order = iter(self.order())
        first = list(islice(order, min(self.num_rows, self.num_ranks)))
        yield from first[self.rank : self.rank + 1]
        yield from islice(order, self.rank, None, self.num_ranks)
        if self.pads:
            yield first[0]

    @abstractmethod
    def order(self) -> Iterable[int]:
        """Rows of all ranks, in an order drawn anew."""

    def beyond(self, start: int, count: int) -> list[int]:
        """Further rows of all ranks, of orders of their own, one after the other, that belong to this epoch.

        Args:
            start: Further rows that have been read before.
            count: Rows.
        """
        other = copy(self)
        other.generator = torch.Generator().manual_seed(self.generator.initial_seed() + BEYOND)
        orders = chain.from_iterable(other.order() for _ in repeat(None))
        return list(islice(orders, start, start + count))


class ShuffledRows(DealtRows):
    """Shuffles all rows.

    Args:
        generator: Source of randomness.
        num_rows: Those of `DealtRows`, as the rest.
        batch_size: Likewise.
        num_ranks: Likewise.
        rank: Likewise.
    """

    def __init__(
        self, generator: torch.Generator, num_rows: int, batch_size: int, num_ranks: int = 1, rank: int = 0
    ) -> None:
        super().__init__(num_rows, batch_size, num_ranks, rank)
        self.generator = generator

    def order(self) -> list[int]:
        """Rows of all ranks, shuffled."""
        rows: list[int] = torch.randperm(self.num_rows, generator=self.generator).tolist()
        return rows


class ShuffledBlocks(DealtRows):
    """Shuffles rows that are stored in blocks so that few blocks are open at a time.

    Blocks are shuffled, and the rows of each few that follow each other are shuffled together. The order is drawn when
    it is first asked for and depends on the generator alone. All ranks go through the blocks together.

    Args:
        blocks: Rows that are stored together; every row in one of them.
        generator: Source of randomness.
        batch_size: See `DealtRows`, as the rest.
        num_ranks: Likewise.
        rank: Likewise.
    """

    def __init__(
        self,
        blocks: Sequence[range],
        generator: torch.Generator,
        batch_size: int,
        num_ranks: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(sum(map(len, blocks)), batch_size, num_ranks, rank)
        self.blocks, self.generator = blocks, generator

    def order(self) -> Iterator[int]:
        """Rows of all ranks, of which only the blocks at hand are in memory."""
        # of its own: whoever else draws from the sampler's generator while rows are read must not change their order
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
        order = torch.randperm(len(self.blocks), generator=generator).tolist()
        for start in range(0, len(order), MIXED_BLOCKS):
            rows = [row for block in order[start : start + MIXED_BLOCKS] for row in self.blocks[block]]
            yield from (rows[i] for i in torch.randperm(len(rows), generator=generator).tolist())

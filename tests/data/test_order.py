from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader

from vrft_pl.data.order import MIXED_BLOCKS, BlockSampler
from vrft_pl.data.resumable import ResumableLoader

BLOCKS = [
    range(0, 7),
    range(7, 8),
    range(8, 8),
    range(8, 20),
    range(20, 23),
    *(range(i, i + 5) for i in range(23, 83, 5)),
]
ROWS = 83


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def orders(num_ranks, blocks=BLOCKS, seed=0):
    """What each rank reads in one epoch."""
    samplers = [BlockSampler(blocks, generator(seed), num_ranks, rank) for rank in range(num_ranks)]
    read = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == list(map(len, read))
    return read


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8, 82, 83])
def test_ranks_read_every_row_once_but_for_the_first_ones_that_fill_up(num_ranks):
    read = orders(num_ranks)
    assert len({len(rows) for rows in read}) == 1
    order = sum(read, [])
    assert sorted(order[:ROWS]) == list(range(ROWS))
    repeated = order[ROWS:]
    assert repeated == order[: len(repeated)]
    assert len(repeated) < num_ranks


def test_more_ranks_than_rows_read_them_in_turn():
    read = [rows for (rows,) in orders(7, [range(2), range(2, 3)])]
    assert read == (read[:3] * 3)[:7]
    assert sorted(read[:3]) == [0, 1, 2]


@pytest.mark.parametrize("blocks", [[], [range(0)]], ids=["no-block", "empty-block"])
def test_nothing_is_read_where_there_is_nothing(blocks):
    assert orders(2, blocks) == [[], []]


def test_the_order_follows_the_generator_and_epochs_differ():
    sampler = BlockSampler(BLOCKS, generator(3))
    first, second = list(sampler), list(sampler)
    assert first == list(BlockSampler(BLOCKS, generator(3)))
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert len({tuple(first), tuple(second), tuple(BlockSampler(BLOCKS, generator(4))), tuple(range(ROWS))}) == 4


def test_who_else_draws_from_the_generator_does_not_change_an_order_that_has_begun():
    expected = list(BlockSampler(BLOCKS, generator(3)))
    source = generator(3)
    rows = iter(BlockSampler(BLOCKS, source))
    read = [next(rows)]
    source.manual_seed(99)
    assert read + list(rows) == expected


def open_blocks(rows, blocks):
    """The largest number of blocks that a reader would have to keep in order to open each of them once."""
    owner = {row: i for i, block in enumerate(blocks) for row in block}
    touched = [owner[row] for row in rows]
    last = {block: i for i, block in enumerate(touched)}
    return max(len({b for b in touched[: i + 1] if last[b] >= i}) for i in range(len(touched)))


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_few_blocks_are_open_at_a_time(num_ranks):
    blocks = [range(i, i + 6) for i in range(0, 120, 6)]
    for rows in orders(num_ranks, blocks):
        assert 1 < open_blocks(rows, blocks) <= MIXED_BLOCKS


def test_ranks_open_blocks_of_their_own():
    blocks = [range(i, i + 6) for i in range(0, 240, 6)]
    times_opened = Counter(block for rows in orders(4, blocks) for block in {row // 6 for row in rows})
    assert sum(times_opened.values()) <= len(blocks) + 3 * MIXED_BLOCKS


def test_rows_of_different_blocks_are_mixed():
    blocks = [range(i, i + 50) for i in range(0, 400, 50)]
    (rows,) = orders(1, blocks)
    neighbours = sum(a // 50 == b // 50 for a, b in zip(rows, rows[1:], strict=False)) / len(rows)
    assert neighbours < 0.5  # a quarter, were it perfect


def loader(epochs=0):
    own = generator(5)
    resumable = ResumableLoader(DataLoader(range(ROWS), 4, sampler=BlockSampler(BLOCKS, own)))
    for _ in range(epochs):
        list(resumable)
    return resumable


def rows_of(batches):
    return [row for batch in batches for row in batch.tolist()]


@pytest.mark.parametrize("epochs", [0, 2])
@pytest.mark.parametrize("batches", [1, 20])
def test_a_resumed_loader_goes_on_in_the_same_order(epochs, batches):
    whole, resumed = loader(epochs), loader()
    reader = iter(whole)
    read = rows_of(next(reader) for _ in range(batches))
    resumed.load_state_dict(whole.state_dict())
    rest = rows_of(reader)
    assert rows_of(resumed) == rest
    assert sorted(read + rest) == list(range(ROWS))


def test_a_loader_resumed_at_the_end_of_an_epoch_starts_the_next():
    whole, resumed = loader(epochs=1), loader()
    resumed.load_state_dict(whole.state_dict())
    assert rows_of(resumed) == rows_of(whole) != rows_of(loader())

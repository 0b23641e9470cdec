from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

from vrft_pl.data.order import MIXED_BLOCKS, ShuffledBlocks, ShuffledRows
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


def orders(num_ranks, blocks=BLOCKS, seed=0, batch_size=1):
    """What each rank reads in one epoch."""
    samplers = [ShuffledBlocks(blocks, generator(seed), batch_size, num_ranks, rank) for rank in range(num_ranks)]
    read = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == list(map(len, read))
    return [rows[: len(rows) - sampler.pads] for rows, sampler in zip(read, samplers, strict=True)]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8, 82, 83, 90])
def test_ranks_together_read_the_order_of_one_process(num_ranks):
    (alone,) = orders(1)
    assert sorted(alone) == list(range(ROWS))
    assert orders(num_ranks) == [alone[rank::num_ranks] for rank in range(num_ranks)]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize("num_rows", [0, 1, 7, 8, 9, 16])
def test_a_step_of_all_ranks_holds_the_rows_of_one_process_with_a_larger_batch(num_rows, batch_size, num_ranks):
    """And every rank has as many batches, of which the last may be there for the number alone."""
    alone = list(ShuffledRows(generator(), num_rows, batch_size * num_ranks))
    whole = [alone[i : i + batch_size * num_ranks] for i in range(0, num_rows, batch_size * num_ranks)]
    steps = [[] for _ in whole]
    for rank in range(num_ranks):
        sampler = ShuffledRows(generator(), num_rows, batch_size, num_ranks, rank)
        rows = list(sampler)
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        assert len(batches) == len(whole)
        if sampler.pads:
            assert batches.pop() == alone[:1]
        for step, batch in zip(steps, batches, strict=False):
            step += batch
    assert list(map(sorted, steps)) == list(map(sorted, whole))


def test_the_order_of_one_process_is_that_of_torch():
    """Runs of earlier versions read their rows in it."""
    assert list(ShuffledRows(generator(3), 50, 4)) == list(RandomSampler(range(50), generator=generator(3)))


@pytest.mark.parametrize("blocks", [[], [range(0)]], ids=["no-block", "empty-block"])
def test_nothing_is_read_where_there_is_nothing(blocks):
    assert orders(2, blocks) == [[], []]


def test_the_order_follows_the_generator_and_epochs_differ():
    sampler = ShuffledBlocks(BLOCKS, generator(3), 4)
    first, second = list(sampler), list(sampler)
    assert first == list(ShuffledBlocks(BLOCKS, generator(3), 4))
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert len({tuple(first), tuple(second), tuple(ShuffledBlocks(BLOCKS, generator(4), 4)), tuple(range(ROWS))}) == 4


def test_who_else_draws_from_the_generator_does_not_change_an_order_that_has_begun():
    expected = list(ShuffledBlocks(BLOCKS, generator(3), 4))
    source = generator(3)
    rows = iter(ShuffledBlocks(BLOCKS, source, 4))
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


def test_rows_of_different_blocks_are_mixed():
    blocks = [range(i, i + 50) for i in range(0, 400, 50)]
    (rows,) = orders(1, blocks)
    neighbours = sum(a // 50 == b // 50 for a, b in zip(rows, rows[1:], strict=False)) / len(rows)
    assert neighbours < 0.5  # a quarter, were it perfect


def loader(epochs=0):
    own = generator(5)
    resumable = ResumableLoader(DataLoader(range(ROWS), 4, sampler=ShuffledBlocks(BLOCKS, own, 4)))
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

from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vrft_pl.data.weighted import WeightedRows


class Rows:
    """The rows of some ranks, whose weights are set from outside."""

    def __init__(self, size=32, ranks=1, batch_size=2, window=2, seed=5):
        self.now, self.size = np.ones(size), size
        self.generator = torch.Generator().manual_seed(seed)
        share = (lambda: self.now, self.generator, size, batch_size, ranks)
        self.ranks = [WeightedRows(*share, rank) for rank in range(ranks)]
        self.loaders = [DataLoader(range(size), batch_size, sampler=own, collate_fn=list) for own in self.ranks]
        self.per_rank = batch_size * window
        self.start()

    def start(self):
        for own in self.ranks:
            own.start(self.per_rank)

    def window(self):
        """What each rank reads at once."""
        return [[row for batch in loader for row in batch] for loader in self.loaders]


def together(parts):
    """Rows of all ranks in the order of one process, to which they were dealt out in turn."""
    return [row for rows in zip(*parts, strict=True) for row in rows]


def test_a_window_holds_no_row_twice_and_follows_the_weights_of_its_moment():
    rows = Rows()
    (first,) = rows.window()
    assert len(set(first)) == 4
    rows.now = np.full(32, 1e-12)
    rows.now[:5] = 1.0
    assert set(rows.window()[0]) < set(range(5))


def test_rows_come_as_often_as_their_weights_say():
    rows = Rows(size=1000, batch_size=1, window=1)
    rows.now[::2] = 0.25
    counts = Counter(row % 2 for _ in range(1000) for row in rows.window()[0])
    assert counts[1] / counts[0] == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize("size", [32, 29, 25])
def test_ranks_together_read_what_one_process_would(size):
    alone, ranks = Rows(size, batch_size=4, window=2), Rows(size, ranks=2, batch_size=2, window=2)
    one, two = [], []
    for step in range(4):
        alone.now = ranks.now = 1.0 + np.arange(size) * step
        one += alone.window()[0]
        two.append(ranks.window())
    dealt = [row for window in two[:-1] for row in together(window)]
    assert dealt == one[: len(dealt)]
    assert {row for part in two[-1] for row in part} == set(one[len(dealt) :]) | ({one[0]} & set(two[-1][1]))
    assert all(len({-(-len(part) // 2) for part in window}) == 1 for window in two)  # as many batches on each


def test_an_epoch_has_as_many_rows_as_ever():
    rows = Rows(size=10)
    assert [len(rows.window()[0]) for _ in range(3)] == [4, 4, 2]
    assert len(rows.loaders[0]) == 5


def test_epochs_and_seeds_have_draws_of_their_own():
    rows = Rows()
    first = rows.window()
    rows.generator.manual_seed(6)
    rows.start()
    assert rows.window() != first
    assert Rows(seed=6).window() != first == Rows().window()


def test_an_epoch_that_begins_again_reads_what_it_had_drawn_whatever_weights_are_now():
    rows = Rows()
    drawn = [rows.window(), rows.window()]
    other = Rows()
    other.ranks[0].load_state_dict(rows.ranks[0].state_dict())
    other.now = np.geomspace(1e-9, 1, 32)
    other.start()
    assert [other.window(), other.window()] == drawn
    rows.now = other.now
    assert other.window() == rows.window()


def test_further_rows_are_drawn_by_weight_too():
    rows = Rows()
    rows.now = np.full(32, 1e-12)
    rows.now[:6] = 1.0
    (own,) = rows.ranks
    assert sorted(own.beyond(0, 6)) == list(range(6))
    assert own.beyond(0, 4) != own.beyond(4, 4)
    assert len(own.beyond(0, 70)) == 70

"""Two ranks in two threads of one process, for mathematics that ranks do together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local
from typing import Any
from unittest.mock import patch

from vrft_pl.algorithms import batch, entropy


def of_two(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each rank returns, where they tell each other what the algorithms gather and average."""
    own, barrier, told = local(), Barrier(len(work), timeout=10), [None] * len(work)

    def gather(value: Any) -> list[Any]:
        told[own.rank] = value
        barrier.wait()
        everyone = list(told)
        barrier.wait()
        return everyone

    def start(rank: int) -> Any:
        own.rank = rank
        return work[rank]()

    with (
        patch.object(batch, "mean_over_ranks", lambda value: sum(gather(value)) / len(work)),
        patch.object(batch, "world_size", lambda: len(work)),
        patch.object(entropy, "gather", gather),
        ThreadPoolExecutor(len(work)) as pool,
    ):
        return list(pool.map(start, range(len(work))))

"""Who the ranks of a distributed run are, and what they tell each other.

Every rank has to call a function that gathers or averages. In a run of one process each of them gives back what that
process has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple, TypeVar

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor
from torch import distributed as dist

from vrft_pl.types import InputError

T = TypeVar("T")
CHUNK = 256
"""Rows of each rank that `in_order` gathers at once."""


class DataShare(NamedTuple):
    """The part of the data that a rank reads."""

    num_shares: int
    """Shares of the data; ranks that split tensors among each other read the same one."""
    position: int
    """Which share it is, counted from 0."""


def is_distributed() -> bool:
    """Whether there is a group of processes."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Number of ranks."""
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    """This process among all; the first writes files."""
    return dist.get_rank() if is_distributed() else 0


def data_share(strategy: Strategy | None) -> DataShare:
    """Which rows are this rank's. Not the world size: ranks of a tensor-parallel group read the same rows."""
    kwargs = getattr(strategy, "distributed_sampler_kwargs", None)
    return DataShare(1, 0) if kwargs is None else DataShare(kwargs["num_replicas"], kwargs["rank"])


def gather(value: T, group: Any = None) -> list[T]:
    """What each rank has, in the order of the ranks; anything that can be pickled."""
    if not is_distributed():
        return [value]
    gathered: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(gathered, value, group=group)
    return gathered


def any_rank(yes: bool) -> bool:
    """Whether it is so on any rank, such as that there is work left."""
    return any(gather(yes))


def mean_over_ranks(value: Tensor) -> Tensor:
    """Mean of a tensor, on the device of the rank, over all ranks."""
    if not is_distributed():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / world_size()


def in_order(rows: Sequence[T], share: DataShare) -> Iterator[T]:
    """Gather the rows of all ranks, to which a data set was dealt out in turn, in its order.

    Every rank has to iterate to the end.

    Args:
        rows: This rank's.
        share: The share of the data set that they are of.
    """
    if share.num_shares == 1:
        yield from rows
        return
    missing = object()
    for start in range(0, max(gather(len(rows))), CHUNK):
        shares = dict(gather((share.position, list(rows[start : start + CHUNK]))))
        dealt = zip_longest(*(shares[i] for i in range(share.num_shares)), fillvalue=missing)
        yield from (row for row in chain.from_iterable(dealt) if row is not missing)  # type: ignore[misc]


def gather_states(state: dict[str, Any]) -> dict[str, Any]:
    """Put the states of all ranks into one, for Lightning writes that of the first rank alone."""
    return {"ranks": gather(_to_cpu(state))}


def own_state(state: dict[str, Any]) -> dict[str, Any]:
    """Take this rank's own part of what `gather_states` put together.

    Raises:
        InputError: If the state is that of another number of ranks.
    """
    if len(state["ranks"]) != world_size():
        raise InputError(
            f"Expected a checkpoint of a run on {world_size()} devices, but it is of a run on {len(state['ranks'])}. "
            "Resume on as many devices."
        )
    own: dict[str, Any] = state["ranks"][rank()]
    return own


def _to_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_cpu(part) for key, part in value.items()}
    return value.cpu() if isinstance(value, torch.Tensor) else value

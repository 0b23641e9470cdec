"""What each of two processes knows of the other: ``LOCAL_RANK=RANK python two_ranks.py STORE``."""

import os
import sys

import torch
from torch import distributed as dist

from vrft_pl.algorithms.batch import batch_moments
from vrft_pl.algorithms.entropy import least_sure
from vrft_pl.distributed import (
    DataShare,
    any_rank,
    gather,
    gather_states,
    in_order,
    mean_over_ranks,
    own_state,
    rank,
    world_size,
)
from vrft_pl.distributed.ranks import CHUNK

if __name__ == "__main__":
    store, own = sys.argv[1], int(os.environ["LOCAL_RANK"])
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=own, world_size=2)
    assert (rank(), world_size()) == (own, 2)
    assert gather({"rank": own}) == [{"rank": 0}, {"rank": 1}]
    assert [any_rank(own == 1), any_rank(False)] == [True, False]
    value = torch.tensor([1.0, 2.0 * own])
    assert mean_over_ranks(value).tolist() == [1.0, 1.0]
    assert value.tolist() == [1.0, 2.0 * own]  # left as it was
    states = gather_states({"position": own, "parts": {"weights": torch.ones(own + 1)}})
    assert [len(state["parts"]["weights"]) for state in states["ranks"]] == [1, 2]
    assert own_state(states)["position"] == own
    for count in (0, 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7):
        assert list(in_order(range(own, count, 2), DataShare(2, own))) == list(range(count))
    assert list(in_order([1, 2], DataShare(1, 0))) == [1, 2]  # ranks that read the same rows keep their own
    values = torch.tensor([3.0, -1.0, 0.5, 8.0, 2.0])
    share = values[:2] if own == 0 else values[2:]
    torch.testing.assert_close(batch_moments(share), (values.mean(), values.std()))
    assert (
        least_sure(share, torch.ones_like(share, dtype=torch.bool), 0.4).tolist()
        == [[True, False], [False, True, False]][own]
    )
    print(f"rank {own} has seen both")

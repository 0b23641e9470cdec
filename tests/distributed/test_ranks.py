"""A run of one process needs no group; two processes are asked in `test_two_ranks_know_of_each_other`."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from forking import forked
from lightning.pytorch.strategies import SingleDeviceStrategy

from vrft_pl.distributed import (
    DataShare,
    any_rank,
    data_share,
    gather,
    gather_states,
    in_order,
    mean_over_ranks,
    own_state,
    rank,
    world_size,
)
from vrft_pl.types import InputError


def test_one_process_is_the_first_of_one():
    assert (rank(), world_size(), gather("a"), any_rank(True), any_rank(False)) == (0, 1, ["a"], True, False)
    assert mean_over_ranks(torch.tensor(3.0)) == 3
    assert list(in_order([1, 2], DataShare(1, 0))) == [1, 2]
    assert own_state(gather_states({"position": 7})) == {"position": 7}


def test_rows_are_shared_as_the_strategy_says():
    assert data_share(None) == data_share(SingleDeviceStrategy("cpu")) == DataShare(1, 0)
    tensor_parallel = SimpleNamespace(distributed_sampler_kwargs={"num_replicas": 2, "rank": 1})
    assert data_share(tensor_parallel) == DataShare(2, 1)


def test_a_state_of_more_ranks_is_refused():
    with pytest.raises(InputError, match="a run on 1 devices, but it is of a run on 2. Resume on as many devices."):
        own_state({"ranks": [{}, {}]})


def test_two_ranks_know_of_each_other(tmp_path):
    done = forked(Path(__file__).with_name("two_ranks.py"), tmp_path / "store", ranks=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"rank {i} has seen both" for i in range(2)]

"""How FSDP2 is set up and how it cuts a model, on one process; two are in `test_table`."""

import pytest
import torch
from checkpoints import loaded
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from torch import nn

from vrft_pl.callbacks.preflight import refusals
from vrft_pl.distributed import FSDP2, read_shards
from vrft_pl.distributed.fsdp import layers
from vrft_pl.types import InputError


def test_it_has_a_name():
    assert isinstance(StrategyRegistry.get("fsdp2"), FSDP2)
    assert read_shards("fsdp2", 4, "32-true") == read_shards(FSDP2(), 4, "32-true")
    assert read_shards("fsdp2", 4, "32-true").weights == 4


def test_ranks_that_compute_a_layer_together_are_refused():
    with pytest.raises(ValueError, match="Expected `tensor_parallel_size` of FSDP2 to be 1, but got 2. Leave it out."):
        FSDP2(tensor_parallel_size=2)


@pytest.mark.parametrize(("asked", "ranks"), [(2, 4), (1, 4)])
def test_ranks_that_read_the_same_rows_are_refused(asked, ranks):
    strategy = FSDP2(data_parallel_size=asked)
    strategy.num_nodes, strategy.parallel_devices = 2, [torch.device("cpu")] * (ranks // 2)
    with pytest.raises(InputError, match=f"to be the number of ranks, {ranks}, but got {asked}. Leave it out."):
        strategy.setup_environment()


def test_lightnings_own_is_refused_before_it_trains():
    (refusal,) = refusals(ModelParallelStrategy(), True, [], 1)
    assert refusal == "Expected a strategy that spreads the policy, but got ModelParallelStrategy. Use `fsdp2`."
    assert refusals("fsdp2", False, [], 1) == []


def test_layers_of_tower_and_decoder_are_cut_apart(qwen3_vl):
    policy = loaded(qwen3_vl)
    model = policy.hf_model.model
    inside = [*model.visual.blocks, *model.visual.deepstack_merger_list, *model.language_model.layers]
    assert {*layers(policy)} == {*inside}


def test_lists_within_a_layer_stay_with_it_and_what_has_no_weights_is_left_out():
    layer = nn.ModuleDict({"experts": nn.ModuleList([nn.Linear(1, 1)])})
    model = nn.ModuleDict({"layers": nn.ModuleList([layer, nn.ReLU()]), "again": nn.ModuleList([layer])})
    assert layers(model) == [layer]

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from checkpoints import loaded
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from safetensors.torch import load_file

from vrft_pl.distributed import (
    Shards,
    is_sharded,
    keep_optimizer,
    made_whole,
    read_shards,
    shards_weights,
    total_norm,
    whole_size,
    whole_weights,
)
from vrft_pl.policy import LoRA


def test_without_sharding_each_device_has_a_copy_of_everything():
    assert Shards() == Shards(weights=1, gradients=1, optimizer=1, master=False, offloaded=False)


@pytest.mark.parametrize(
    ("strategy", "shards"),
    [
        ("auto", Shards()),
        ("ddp", Shards()),
        (DDPStrategy(), Shards()),
        ("deepspeed_stage_1", Shards(1, 1, 4)),
        ("deepspeed", Shards(1, 4, 4)),
        ("deepspeed_stage_3_offload", Shards(4, 4, 4, offloaded=True)),
        (FSDPStrategy(), Shards(4, 4, 4)),
        ("fsdp_cpu_offload", Shards(4, 4, 4, offloaded=True)),
        (DeepSpeedStrategy(stage=2), Shards(1, 4, 4)),
        (DeepSpeedStrategy(config={"zero_optimization": {}}), Shards()),
        (DeepSpeedStrategy(stage=3, offload_optimizer=True), Shards(4, 4, 4, offloaded=True)),
    ],
)
def test_strategies_are_read_by_name_and_built(strategy, shards):
    assert read_shards(strategy, 4, "32-true") == shards


def test_deepspeed_in_half_precision_has_master_weights():
    assert read_shards("deepspeed_stage_2", 4, "bf16-true").master
    assert not read_shards("ddp", 4, "bf16-mixed").master


@pytest.mark.parametrize(
    ("strategy", "sharded"),
    [
        ("auto", False),
        ("ddp_find_unused_parameters_true", False),
        ("deepspeed_stage_2_offload", False),
        ("deepspeed_stage_3", True),
        ("deepspeed_stage_3_offload_nvme", True),
        (DeepSpeedStrategy(stage=3), True),
        ("fsdp", True),
        (ModelParallelStrategy(), True),
        ("somebody_elses", False),
    ],
)
def test_a_strategy_shards_weights_or_leaves_them_whole(strategy, sharded):
    assert shards_weights(strategy) == sharded


def test_a_strategy_that_offloads_takes_the_optimizer_that_is_configured():
    own, asked = DeepSpeedStrategy(stage=3, offload_optimizer=True), {"zero_force_ds_cpu_optimizer": True}
    for strategy in (own, DeepSpeedStrategy(config=dict(asked))):
        keep_optimizer(strategy)
    assert own.config["zero_force_ds_cpu_optimizer"] is False
    assert strategy.config == asked


def test_a_whole_model_is_whole():
    layer = torch.nn.Linear(2, 3)
    assert not is_sharded(layer.parameters())
    assert whole_size(layer.weight) == 6
    assert all(torch.equal(value, layer.state_dict()[name]) for name, value in whole_weights(layer).items())


def test_a_parameter_that_zero3_took_apart_has_the_size_of_the_whole():
    parameter = torch.nn.Parameter(torch.empty(0))
    parameter.ds_numel, parameter.ds_tensor = 6, torch.zeros(3)
    assert is_sharded([parameter])
    assert whole_size(parameter) == 6


@pytest.mark.nightly
@pytest.mark.parametrize("made", ["qwen3_vl", "qwen2_5_vl"], ids=["plain", "tied"])
def test_a_policy_that_fsdp_shards_is_exported_whole(made, request, tmp_path):
    """On two processes, with and without adapters: the same files as of a policy that is whole, to the bit."""
    checkpoint, script = request.getfixturevalue(made), Path(__file__).with_name("sharded_export.py")
    command = [sys.executable, str(script), str(checkpoint), str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True) for i in range(2)]
    printed = [process.communicate(timeout=200)[0].splitlines()[-1:] for process in ranks]
    assert printed == [["rank 0 is done"], ["rank 1 is done"]]
    for name, lora in {"plain": None, "adapted": LoRA(rank=2, parts=("language", "vision"))}.items():
        policy = loaded(checkpoint, lora=lora)
        for parameter_name, parameter in policy.named_parameters():
            if "lora_" in parameter_name:
                parameter.data.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
        policy.export(tmp_path / "expected" / name)
        expected, got = (load_file(folder / name / "model.safetensors") for folder in (tmp_path / "expected", tmp_path))
        assert expected.keys() == got.keys()
        assert all(torch.equal(value, got[key]) for key, value in expected.items())
        for path in (tmp_path / "expected" / name).glob("*.json"):
            assert path.read_text() == (tmp_path / name / path.name).read_text(), path.name


def test_zero3_takes_layers_apart_before_and_after_weights_are_read_and_not_meanwhile(monkeypatch):
    switches = []
    partition = SimpleNamespace(
        shutdown_init_context=lambda: switches.append("off"), restore_init_context=lambda: switches.append("on")
    )
    for name in ("deepspeed", "deepspeed.runtime", "deepspeed.runtime.zero"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "deepspeed.runtime.zero.partition_parameters", partition)
    with made_whole():
        assert switches == ["off"]
    assert switches == ["off", "on"]
    with pytest.raises(OSError, match="no such checkpoint"), made_whole():
        raise OSError("no such checkpoint")
    assert switches == ["off", "on"] * 2


def test_without_deepspeed_there_is_nothing_to_switch_off(monkeypatch):
    monkeypatch.delitem(sys.modules, "deepspeed", raising=False)
    with made_whole():
        assert "deepspeed" not in sys.modules


def test_the_norm_of_all_values_together_is_that_of_one_vector():
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(size, generator=generator) for size in ((3, 4), (5,), (2, 2, 2))]
    expected = torch.cat([value.flatten() for value in values]).norm()
    torch.testing.assert_close(total_norm(values), expected)
    torch.testing.assert_close(total_norm([value.half() for value in values]), expected, rtol=1e-3, atol=0)
    assert total_norm([torch.full((4,), 60000.0, dtype=torch.float16)]) == 120000  # more than half precision holds
    assert total_norm([]) == 0
    assert not total_norm([*values, torch.tensor([float("inf")])]).isfinite()

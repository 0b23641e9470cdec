import pytest
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy

from vrft_pl.distributed import Shards, read_shards


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
        (DeepSpeedStrategy(stage=3, offload_optimizer=True), Shards(4, 4, 4, offloaded=True)),
    ],
)
def test_strategies_are_read_by_name_and_built(strategy, shards):
    assert read_shards(strategy, 4, "32-true") == shards


def test_deepspeed_in_half_precision_has_master_weights():
    assert read_shards("deepspeed_stage_2", 4, "bf16-true").master
    assert not read_shards("ddp", 4, "bf16-mixed").master

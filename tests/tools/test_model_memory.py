import pytest
from check.subjects import subject
from checkpoints import loaded, wide_checkpoint
from torch.optim import AdamW

from vrft_pl.check.memory import staying_bytes as counted_bytes
from vrft_pl.check.transient import Work
from vrft_pl.modules import SFTModule
from vrft_pl.policy import LoRA

# as the pages of the models on the hub show them
PUBLISHED = {
    "Qwen2.5-VL-3B": 3.75,
    "Qwen2.5-VL-7B": 8.29,
    "Qwen2.5-VL-32B": 33.5,
    "Qwen2.5-VL-72B": 73.4,
    "Qwen3-VL-2B": 2.13,
    "Qwen3-VL-4B": 4.44,
    "Qwen3-VL-8B": 8.77,
    "Qwen3-VL-32B": 33.4,
    "InternVL3.5-8B": 8.53,
}


@pytest.fixture
def needed(tool):
    return tool("model_memory").needed


def test_models_have_the_parameters_that_are_published(tool):
    models = tool("scale.models")
    assert set(models.CONFIGS) == set(PUBLISHED)
    for name, published in PUBLISHED.items():
        billions = sum(p.numel() for p in models.build(name).parameters()) / 1e9
        assert billions == pytest.approx(published, abs=0.05 if billions > 10 else 0.01), name


@pytest.mark.parametrize("training", ["full", "lora", "qlora"])
def test_bytes_that_stay_are_those_that_check_counts(training, tool, tmp_path):
    lora = {"full": None, "lora": LoRA(4), "qlora": LoRA(4, quantize="nf4")}[training]
    if training == "qlora":
        pytest.importorskip("bitsandbytes", reason="needs the extra `qlora`")
    folder = wide_checkpoint(tmp_path / "wide")
    policy = loaded(folder, dtype="float32" if training == "full" else "bfloat16", lora=lora)
    counted = counted_bytes(subject(SFTModule(policy, optimizer=AdamW), tmp_path))
    steps = 4 * sum(p.requires_grad for p in policy.parameters())  # AdamW counts them for each tensor
    base = loaded(folder).hf_model
    assert sum(counted.values()) - steps == tool("scale.memory").staying_bytes(base, training, rank=4, reference=False)


def test_fewer_bits_and_fewer_tokens_take_less(needed):
    work = Work(600, 512, 8, 1, 32)
    full, lora, qlora = (needed("Qwen2.5-VL-7B", training, work, 64) for training in ("full", "lora", "qlora"))
    assert full[0] > 4 * lora[0] > 4 * qlora[0]
    assert needed("Qwen2.5-VL-7B", "lora", Work(600, 2048, 8, 1, 32), 64)[1] > lora[1]


def test_a_7b_policy_in_four_bits_fits_16_gb_by_these_bytes(tool):
    row = next(
        line for line in tool("model_memory").table(Work(600, 512, 8, 1, 32), 64).splitlines() if "2.5-VL-7B" in line
    )
    assert row.endswith("**40 GB** | 9.5 + 3.8: **16 GB** |")

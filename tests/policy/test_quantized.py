"""A base in four bits; runs on a CPU, where bitsandbytes computes the same numbers slowly."""

import pytest
import torch
from checkpoints import loaded, wide_checkpoint
from safetensors.torch import load_file
from training import counting, fit, grpo, sgd, weights

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.modules import SFTModule
from vrft_pl.policy import LoRA
from vrft_pl.policy.quantized import dequantized_state, quantization_bytes, quantized_weights
from vrft_pl.types import InputError

QLORA = LoRA(4, quantize="nf4")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A Qwen3-VL whose layers are as wide as a block of four-bit weights."""
    pytest.importorskip("bitsandbytes", reason="needs the extra `qlora`")
    return wide_checkpoint(tmp_path_factory.mktemp("wide"))


def logprobs(policy, samples):
    prompts = policy.encode(samples)
    with policy.evaluating():
        return policy.logprobs(prompts, policy.encode_targets(samples, prompts)).logprobs


def shake(policy):
    """Adapters as after training."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return policy


def test_the_language_model_alone_is_quantized(wide):
    policy = loaded(wide, lora=QLORA)
    names = set(quantized_weights(policy.hf_model))
    assert names
    assert all("language_model.layers" in name and "base_layer" in name for name in names)
    adapted = {n for n, _ in policy.hf_model.named_modules() if n.endswith("base_layer")}
    assert {name.removesuffix(".weight") for name in names} == adapted


def test_parameters_are_counted_as_those_they_stand_for(wide):
    plain, quantized = (loaded(wide, lora=lora).parameter_table() for lora in (LoRA(4), QLORA))
    assert quantized == plain


def test_four_bits_and_their_scales_are_counted_to_the_byte(wide):
    """A byte holds two weights; 64 share a scale of a byte, and the scales one of four bytes, beside two tables."""
    policy = loaded(wide, lora=QLORA)
    sizes = [weight.quant_state.shape.numel() for weight in quantized_weights(policy.hf_model).values()]
    assert [weight.nbytes for weight in quantized_weights(policy.hf_model).values()] == [n // 2 for n in sizes]
    assert quantization_bytes(policy) == sum(n // 64 + 4 + 4 + 16 * 4 + 256 * 4 for n in sizes)


def test_a_new_adapter_is_the_base(wide, samples):
    policy = loaded(wide, lora=QLORA)
    seen = logprobs(policy, samples)
    with policy.adapter_disabled():
        torch.testing.assert_close(logprobs(policy, samples), seen, rtol=0, atol=0)


def test_the_base_is_the_checkpoint_rounded(wide):
    """The widest gap between two levels of NF4 is 0.304 of the largest weight of a block: half of it at most."""
    policy, whole = loaded(wide, lora=QLORA), loaded(wide)
    state = dequantized_state(policy.hf_model)
    for name in quantized_weights(policy.hf_model):
        original = whole.hf_model.get_parameter(name.replace("base_layer.", ""))
        gap, largest = (state[name] - original).abs().max(), original.abs().max()
        assert 0.01 * largest < gap < 0.16 * largest


def test_rows_that_are_no_multiple_of_a_block_stay_whole():
    """The embedded policy is 96 wide: only the 128 columns of its output projections can be cut into blocks."""
    pytest.importorskip("bitsandbytes", reason="needs the extra `qlora`")
    assert all("o_proj" in name for name in quantized_weights(loaded("tiny", lora=QLORA)))


def test_the_export_is_the_policy(wide, samples, tmp_path):
    """Whole weights, merged into the base as it was rounded: nothing of the rounding is done twice."""
    policy = shake(loaded(wide, lora=QLORA))
    before = logprobs(policy, samples)
    policy.export(tmp_path / "whole")
    torch.testing.assert_close(logprobs(loaded(str(tmp_path / "whole")), samples), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logprobs(policy, samples), before, rtol=0, atol=0)
    assert {tensor.dtype for tensor in load_file(tmp_path / "whole/model.safetensors").values()} == {torch.float32}


@pytest.mark.parametrize("kind", ["sft", "grpo", "grpo-copy"])
def test_training_moves_the_adapter_and_leaves_the_base(wide, kind):
    policy = loaded(wide, max_pixels=1024, lora=QLORA)
    reference = {"reference": "copy"} if kind == "grpo-copy" else {}
    made = (
        SFTModule(policy, optimizer=sgd)
        if kind == "sft"
        else grpo(wide, policy, loss=GRPOLoss(kl_coefficient=0.1), **reference)
    )
    before, base = weights(made), dequantized_state(policy.hf_model)
    fit(made)
    after = weights(made)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("lora_" in name for name in moved)
    for name, value in dequantized_state(policy.hf_model).items():
        assert "lora_" in name or torch.equal(value, base[name]), name


def test_a_checkpoint_leaves_the_base_out_and_is_loaded_again(wide, samples, tmp_path):
    module = SFTModule(shake(loaded(wide, max_pixels=1024, lora=QLORA)), optimizer=sgd)
    trainer = fit(module)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=False)["state_dict"]
    assert not any("quant" in name or "absmax" in name for name in saved)
    other = SFTModule(loaded(wide, max_pixels=1024, lora=QLORA), optimizer=sgd)
    fit(other, ckpt_path=tmp_path / "last.ckpt", max_epochs=1)
    torch.testing.assert_close(logprobs(other.policy, samples), logprobs(module.policy, samples), rtol=0, atol=0)


def test_a_strategy_that_shards_weights_is_refused(wide):
    module = SFTModule(loaded(wide, lora=QLORA), optimizer=sgd)
    refusal = module.refusal("deepspeed_stage_3", "fit", counting(), 0)
    assert refusal is not None
    assert "`lora.quantize`" in refusal
    assert "`ddp`" in refusal
    assert module.refusal("ddp", "fit", counting(), 0) is None
    assert SFTModule(loaded(wide), optimizer=sgd).refusal("deepspeed_stage_3", "fit", counting(), 0) is None


def test_a_machine_without_bitsandbytes_is_told_in_one_line(qwen3_vl, monkeypatch):
    monkeypatch.setattr("vrft_pl.policy.quantized.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"bitsandbytes for `lora.quantize`.*vrft_pl\[qlora\]"):
        loaded(qwen3_vl, lora=QLORA)

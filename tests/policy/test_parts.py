import warnings
from pathlib import Path

import pytest
import torch
from architectures import BUILDERS
from checkpoints import loaded
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from vrft_pl.commands.fit import FitCLI
from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.anatomy import Anatomy

ALL = {"vision", "projector", "language"}


def trained_parts(policy, samples):
    """Parts with a gradient after a backward pass, through the policy's own log-probs."""
    prompts = policy.encode(samples)
    policy.logprobs(prompts, policy.encode_targets(samples, prompts)).logprobs.sum().backward()
    anatomy = Anatomy.of(policy.hf_model)
    for name, parameter in policy.model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    names = [name for name, parameter in policy.model.named_parameters() if parameter.grad is not None]
    return {anatomy.part_of(name.removeprefix("base_model.model.")) for name in names}


@pytest.mark.parametrize(
    "freeze",
    [(), ("vision",), ("projector",), ("language",), ("vision", "projector"), ("vision", "language")],
    ids=lambda parts: "-".join(parts) or "nothing",
)
def test_frozen_parts_get_no_gradient(checkpoint, samples, freeze):
    policy = loaded(checkpoint, freeze=freeze)
    assert trained_parts(policy, samples) == ALL - set(freeze)


@pytest.mark.parametrize("freeze", [(), ("language",)], ids=["nothing", "language"])
def test_trainable_counts_are_those_of_the_parameters(checkpoint, freeze):
    policy = loaded(checkpoint, freeze=freeze)
    table = policy.parameter_table()
    parameters = list(policy.model.parameters())
    assert sum(total for _, total in table.values()) == sum(p.numel() for p in parameters)
    assert sum(trained for trained, _ in table.values()) == sum(p.numel() for p in parameters if p.requires_grad)
    for part, (trained, total) in table.items():
        assert total > 0
        assert trained == (0 if part in freeze else total)


def test_counts_of_the_parts_by_hand(qwen3_vl):
    language = 265 * 32 * 2 + 32  # embedding, head, last norm
    attention = 32 * 32 * 2 + 32 * 16 * 2 + 8 * 2  # q, o; k, v; norms of q and k
    language += 2 * (attention + 3 * 32 * 48 + 2 * 32)
    merger = 32 * 4 * 32 * 4 + 128 + 128 * 32 + 32
    projector = 2 * merger + 2 * 32 + 2 * 128  # the second, of deepstack, has its norm after the shuffle
    table = loaded(qwen3_vl).parameter_table()
    assert table["language"] == (language, language)
    assert table["projector"] == (projector, projector)


def test_a_pattern_freezes_the_parameters_it_matches(checkpoint):
    policy = loaded(checkpoint, freeze_pattern=r"layers\.0\.")
    frozen = {name for name, parameter in policy.model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in policy.model.named_parameters() if "layers.0." in name}
    assert frozen


def test_parts_and_pattern_add_up(checkpoint, samples):
    policy = loaded(checkpoint, freeze=("vision",), freeze_pattern="merger")
    assert trained_parts(policy, samples) == {"language"}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"freeze_pattern": "nowhere"}, "match a parameter, but 'nowhere' matches", id="pattern"),
        pytest.param({"freeze": ("memory",)}, "to have a part `memory` to freeze", id="part"),
        pytest.param({"freeze": tuple(sorted(ALL))}, "every parameter is frozen", id="all-parts"),
        pytest.param({"freeze_pattern": "."}, "every parameter is frozen", id="all-by-pattern"),
        pytest.param({"lora": LoRA(targets="nowhere")}, "targets 'nowhere' match none", id="lora-targets"),
        pytest.param({"lora": LoRA(parts=())}, r"parts \(\) and targets None match none", id="lora-parts"),
        pytest.param({"lora": LoRA(), "freeze_pattern": "lora_"}, "every parameter is frozen", id="adapters"),
    ],
)
def test_what_matches_nothing_or_leaves_nothing_is_an_error(qwen3_vl, kwargs, message):
    with pytest.raises(ValueError, match=message):
        loaded(qwen3_vl, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"rank": 0}, "`rank` to be at least 1, but got 0", id="rank"),
        pytest.param({"dropout": 1.0}, r"`dropout` to be in \[0, 1\), but got 1.0", id="dropout"),
    ],
)
def test_adapters_have_ranges(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LoRA(**kwargs)


@pytest.mark.parametrize("parts", [("language",), ("vision",), ("projector",), ("vision", "projector")], ids="-".join)
def test_adapters_train_their_parts_only(checkpoint, samples, parts):
    policy = loaded(checkpoint, lora=LoRA(rank=2, parts=parts))
    assert trained_parts(policy, samples) == set(parts)
    names = [name for name, p in policy.model.named_parameters() if p.requires_grad]
    assert all("lora_" in name for name in names)
    assert not any("lm_head" in name for name in names)


def test_adapter_targets_are_chosen_by_name(checkpoint):
    policy = loaded(checkpoint, lora=LoRA(rank=2, targets=r"q_proj$"))
    names = [name for name, p in policy.model.named_parameters() if p.requires_grad]
    assert len(names) == 2 * 2  # two layers, A and B
    assert all("q_proj.lora_" in name for name in names)
    assert policy.parameter_table()["language"][0] == 2 * 2 * (32 + 32)


@pytest.mark.parametrize(("alpha", "scale"), [(None, 2.0), (8.0, 4.0)], ids=["default", "given"])
def test_adapters_are_scaled_by_alpha_over_rank(qwen3_vl, alpha, scale):
    policy = loaded(qwen3_vl, lora=LoRA(rank=2, alpha=alpha))
    assert {s for m in policy.modules() if hasattr(m, "lora_A") for s in m.scaling.values()} == {scale}


def test_dropout_of_adapters_changes_training_but_not_evaluation(qwen3_vl, samples):
    policy = loaded(qwen3_vl, lora=LoRA(rank=4, dropout=0.5))
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    prompts = policy.encode(samples)
    targets = policy.encode_targets(samples, prompts)
    assert not torch.equal(*(policy.logprobs(prompts, targets).logprobs for _ in range(2)))
    with policy.evaluating():
        assert torch.equal(*(policy.logprobs(prompts, targets).logprobs for _ in range(2)))


def moe(tmp_path):
    return BUILDERS["qwen3_vl_moe"](tmp_path / "moe")


def test_experts_without_adapters_are_told_of_with_the_option_that_adapts_them(tmp_path):
    with pytest.warns(UserWarning, match=r"LoRA leaves the experts of Qwen3VLMoe.* 4 tensors such as .*experts.*true"):
        loaded(moe(tmp_path), lora=LoRA(rank=2))


@pytest.mark.parametrize("lora", [LoRA(rank=2, experts=True), LoRA(rank=2, targets="experts|q_proj", experts=True)])
def test_adapted_experts_are_trained_switched_off_and_merged(lora, tmp_path, samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        policy = loaded(moe(tmp_path), lora=lora)
    adapters = {n: p for n, p in policy.named_parameters() if "experts" in n and p.requires_grad}
    assert len(adapters) == 2 * 2 * 2  # layers, tensors, matrices
    prompts = policy.encode(samples)
    completions = policy.encode_targets(samples, prompts)
    policy.eval()
    before = policy.logprobs(prompts, completions).logprobs
    before.sum().backward()
    assert all(p.grad.abs().max() > 0 for n, p in adapters.items() if "lora_B" in n)
    with torch.no_grad():
        for name, parameter in adapters.items():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
        moved = policy.logprobs(prompts, completions).logprobs
        assert (moved - before).abs().max() > 1e-3
        with policy.adapter_disabled():
            torch.testing.assert_close(policy.logprobs(prompts, completions).logprobs, before)
        policy.export(tmp_path / "export")
        merged = loaded(str(tmp_path / "export")).eval()
        torch.testing.assert_close(merged.logprobs(prompts, completions).logprobs, moved, rtol=1e-4, atol=1e-4)


def test_dropout_does_not_go_with_adapted_experts():
    with pytest.raises(ValueError, match="Expected `dropout` to be 0 with `experts`, but got 0.1"):
        LoRA(dropout=0.1, experts=True)


@pytest.mark.parametrize(
    ("key", "value"), [("attention", "sdpaa"), ("freeze_pattern", "("), ("lora", "{targets: '('}")], ids=str
)
def test_what_is_wrong_whatever_the_weights_are_is_a_mistake_in_the_arguments(key, value, tmp_path, capsys, no_argv):
    """A pattern that matches no parameter ends with 1: the checkpoint may be another than was meant."""
    config = str(Path(__file__).parents[2] / "configs/quickstart.yaml")
    with pytest.raises(SystemExit) as stop:
        FitCLI("fit", ["--config", config, f"--model.init_args.policy.init_args.{key}", value])
    said = capsys.readouterr().err
    assert (stop.value.code, said.count("\n")) == (2, 1)
    assert f"Expected `{'targets' if key == 'lora' else key}` to be " in said


def test_an_attention_that_somebody_registered_is_known():
    AttentionInterface.register("attention_of_a_test", sdpa_attention_forward)
    assert VLM(attention="attention_of_a_test").weights.attention == "attention_of_a_test"
    assert VLM(attention="kernels-community/flash-attn2").weights.attention

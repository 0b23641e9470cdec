import pytest
import torch
from checkpoints import MIXED, loaded
from precision import assert_apart_by_rounding, in_double
from torch import nn

from vrft_pl.policy import LoRA
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.rollout.packed import packed_linears

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="layers are packed by oneDNN")


class OwnLinear(nn.Linear):
    """May do anything in its forward."""


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 40), nn.ReLU(), nn.Linear(40, 16, bias=False))


def packed(model):
    """Names of the layers whose forward is not their class's own."""
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("shape", [(8, 24), (8, 1, 24), (2, 4, 24), (3, 24), (1, 24), (50, 24), (24,)], ids=str)
def test_packed_layers_give_the_same_output(shape):
    model, value = build(), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = model(value)
    with packed_linears(model, 8):
        assert packed(model) == ["0", "2"]
        for _ in range(2):
            torch.testing.assert_close(model(value), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(model(value), expected)


def test_rows_that_are_no_block_of_memory_are_read_right():
    model, value = build(), torch.randn(24, 8, generator=torch.Generator().manual_seed(0)).T
    expected = model(value)
    with packed_linears(model, 8):
        torch.testing.assert_close(model(value), expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(model(value[::2]), expected[::2], rtol=1e-6, atol=1e-6)


def test_a_packed_layer_does_not_call_its_class(monkeypatch):
    model, value = build(), torch.randn(8, 24)
    monkeypatch.setattr(nn.Linear, "forward", None)
    with packed_linears(model, 8):
        model(value)
    with pytest.raises(TypeError):
        model(value)


def test_the_classs_own_forward_is_back_after():
    model = build()
    with packed_linears(model, 8):
        pass
    assert packed(model) == []
    with pytest.raises(KeyError), packed_linears(model, 8):
        raise KeyError
    assert packed(model) == []
    assert model[0].forward.__func__ is nn.Linear.forward


def test_hooks_of_a_packed_layer_are_called():
    model, shapes = build(), []
    model[0].register_forward_hook(lambda _, args, output: shapes.append(output.shape))
    with packed_linears(model, 8):
        model(torch.randn(8, 24))
    assert shapes == [(8, 40)]


def test_weights_that_changed_are_seen_at_the_next_use():
    model, value = build(), torch.randn(8, 24)
    with packed_linears(model, 8):
        before = model(value)
    for parameter in model.parameters():
        parameter.add_(0.1)
    expected = model(value)
    with packed_linears(model, 8):
        after = model(value)
    torch.testing.assert_close(after, expected, rtol=1e-6, atol=1e-6)
    assert (after - before).abs().max() > 0.1


@pytest.mark.parametrize(("spare", "names"), [(0, ["0", "2"]), (-1, [])], ids=["at-the-limit", "above"])
def test_a_large_model_is_left_alone(spare, names, monkeypatch):
    model = build()
    monkeypatch.setattr("vrft_pl.rollout.packed.MOST_BYTES", 4 * (24 * 40 + 40 * 16) + spare)
    with packed_linears(model, 8):
        assert packed(model) == names


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_types_are_left_alone(dtype):
    model = build().to(dtype)
    with packed_linears(model, 8):
        assert packed(model) == []
        model(torch.randn(8, 24, dtype=dtype))
    mixed = build()
    mixed[2].to(dtype)
    with packed_linears(mixed, 8):
        assert packed(mixed) == ["0"]


def test_subclasses_of_linear_are_left_alone():
    model = build()
    model[2] = OwnLinear(40, 16)
    with packed_linears(model, 8):
        assert packed(model) == ["0"]


def test_autocast_still_rounds():
    model, value = build(), torch.randn(8, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = model(value)
        with packed_linears(model, 8):
            got = model(value)
    assert got.dtype == expected.dtype
    torch.testing.assert_close(got, expected)


def test_a_model_without_linear_layers_is_left_alone():
    model, value = nn.Sequential(nn.ReLU()), torch.randn(8, 24)
    with packed_linears(model, 8):
        assert packed(model) == []
        assert torch.equal(model(value), value.relu())


@pytest.mark.parametrize("lora", [None, LoRA(rank=2, parts=("language", "vision", "projector"))], ids=["full", "lora"])
def test_a_policy_gives_the_same_logits(checkpoint, lora):
    policy = loaded(checkpoint, lora=lora)
    for name, parameter in policy.named_parameters():
        if "lora_" in name:
            parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(0))
    inputs, positions = policy.batch(policy.encode(MIXED))
    with policy.evaluating():
        expected = policy(**inputs, position_ids=positions).logits
        with packed_linears(policy.hf_model, len(MIXED)):
            assert len(packed(policy)) > 10
            assert lora is None or any("lora_A" in name for name in packed(policy))
            got = policy(**inputs, position_ids=positions).logits
        exact = in_double(policy)(**inputs, position_ids=positions).logits
    assert_apart_by_rounding(got, expected, exact)


def test_an_adapter_that_is_switched_off_stays_off(checkpoint):
    policy = loaded(checkpoint, lora=LoRA(rank=2))
    inputs, positions = policy.batch(policy.encode(MIXED))
    with policy.evaluating():
        expected = policy(**inputs, position_ids=positions).logits
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.fill_(1.0)
        with packed_linears(policy.hf_model, len(MIXED)), policy.adapter_disabled():
            got = policy(**inputs, position_ids=positions).logits
        with (twin := in_double(policy)).adapter_disabled():
            exact = twin(**inputs, position_ids=positions).logits
    assert_apart_by_rounding(got, expected, exact)


def test_the_sampler_decodes_with_packed_layers_and_leaves_none_behind(qwen3_vl, monkeypatch):
    policy, counts = loaded(qwen3_vl), []
    policy.may("batching")
    policy.hf_model.register_forward_pre_hook(lambda *_: counts.append(len(packed(policy))))
    prompts, seeds = policy.encode(MIXED), range(len(MIXED))
    LocalSampler().settle(policy)
    counts.clear()
    LocalSampler().generate(policy, prompts, 2, SamplingParams(4), seeds)
    assert counts[0] == 0
    assert min(counts[1:]) > 10
    assert packed(policy) == []
    monkeypatch.setattr("vrft_pl.rollout.local.draw", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        LocalSampler().generate(policy, prompts, 2, SamplingParams(4), seeds)
    assert packed(policy) == []

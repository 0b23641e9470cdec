"""A reference that moves, held against a policy with the weights that it should have."""

import pytest
import torch
from checkpoints import loaded
from training import counting

from vrft_pl.policy import LoRA
from vrft_pl.policy.reference import Reference
from vrft_pl.types import Completions, InputError

TEXTS = torch.tensor([[20, 30, 40], [50, 60, 70]])


@pytest.fixture(params=["all", pytest.param("copy", marks=pytest.mark.nightly), "adapter_off"])
def kind(request):
    return request.param


def policy_of(checkpoint, kind):
    """A policy that moved away from where its adapter began, if it has one."""
    policy = loaded(checkpoint, max_pixels=1024, lora=None if kind == "all" else LoRA(2))
    return shifted(policy, 0.02)


def shifted(policy, by):
    for parameter in trained(policy).values():
        parameter.data += by
    return policy


def trained(policy):
    return {name: p for name, p in policy.named_parameters() if p.requires_grad}


def logprobs(policy):
    samples = [counting(size=2).datasets("train")["train"][i] for i in range(2)]
    mask = torch.ones_like(TEXTS, dtype=torch.bool)
    completions = Completions(TEXTS, mask, None, ("", ""), ("stop",) * 2, (None, None))
    return policy.logprobs(policy.encode(samples), completions).logprobs


def asked(reference):
    with reference.model() as model:
        return logprobs(model)


def plain(checkpoint, kind, weights):
    """What a policy with these weights says."""
    policy = policy_of(checkpoint, kind)
    for name, parameter in trained(policy).items():
        parameter.data = weights[name].clone()
    with policy.evaluating():
        return logprobs(policy)


def test_it_moves_towards_the_policy_and_leaves_it_as_it_is(qwen3_vl, kind):
    policy = policy_of(qwen3_vl, kind)
    reference = Reference(policy, "auto" if kind == "all" else kind)
    reference.load()
    reference.begin()
    start = {name: p.detach().clone() for name, p in trained(policy).items()}
    shifted(policy, 0.04)
    now = {name: p.data for name, p in trained(policy).items()}
    assert torch.equal(asked(reference), plain(qwen3_vl, kind, start))
    reference.move(0.25)
    quarter = {name: start[name].lerp(now[name], 0.25) for name in start}
    assert torch.equal(asked(reference), plain(qwen3_vl, kind, quarter))
    reference.move(1.0)
    assert torch.equal(asked(reference), plain(qwen3_vl, kind, now))
    assert all(p.data_ptr() == now[name].data_ptr() for name, p in trained(policy).items())


def test_a_fresh_adapter_begins_at_the_base(qwen3_vl):
    policy = loaded(qwen3_vl, max_pixels=1024, lora=LoRA(2))
    reference = Reference(policy, "adapter_off")
    base = asked(reference)
    reference.begin()
    shifted(policy, 0.02)
    assert torch.equal(asked(reference), base)


@pytest.mark.parametrize("kind", ["all", "adapter_off"])
def test_weights_that_were_saved_are_taken(qwen3_vl, kind):
    first, second = (Reference(policy_of(qwen3_vl, kind), "auto" if kind == "all" else kind) for _ in range(2))
    for reference in (first, second):
        reference.load()
    first.begin()
    shifted(first.policy, 0.04)
    first.move(0.5)
    second.take(first.weights)
    assert torch.equal(asked(first), asked(second))
    with pytest.raises(InputError, match="Expected the weights of a reference of this model"):
        second.take({"other": torch.zeros(1)})


def test_a_small_share_is_not_lost_in_half_precision(qwen3_vl):
    policy = loaded(qwen3_vl, dtype="bfloat16")
    reference = Reference(policy)
    reference.load()
    reference.begin()
    name, parameter = next(iter(trained(policy).items()))
    parameter.data[:] = 1.0
    reference.weights[name][:] = 0.0
    for _ in range(100):
        reference.move(0.001)
    assert reference.weights[name].float().mean() == pytest.approx(1 - 0.999**100, abs=1e-4)

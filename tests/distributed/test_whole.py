"""Weights are whole for a while, on one process that holds all the shares there are; two are in `test_table`."""

import pytest
import torch
from checkpoints import loaded
from safetensors.torch import load_file
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from vrft_pl.distributed import FSDP2, is_spread, is_whole, whole, whole_weights
from vrft_pl.policy import LoRA
from vrft_pl.rollout.vllm.push import AdapterPush


@pytest.fixture
def alone(tmp_path):
    """A group of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def cut(alone, qwen3_vl):
    return spread(loaded(qwen3_vl))


def spread(policy):
    strategy = FSDP2()
    strategy._device_mesh = init_device_mesh("cpu", (1, 1), mesh_dim_names=("data_parallel", "tensor_parallel"))
    policy.spread(strategy)
    return policy


def hooks(policy):
    return [
        (dict(m._forward_pre_hooks), dict(m._forward_hooks), dict(m._state_dict_pre_hooks)) for m in policy.modules()
    ]


def test_a_plain_model_is_left_as_it_is(qwen3_vl):
    policy = loaded(qwen3_vl)
    own = policy.hf_model.register_forward_pre_hook(lambda *_: None)
    with whole(policy):
        assert policy.hf_model._forward_pre_hooks == {own.id: policy.hf_model._forward_pre_hooks[own.id]}
    assert is_whole(policy.parameters())
    assert not is_spread(policy)


def test_within_it_nothing_is_gathered_and_after_it_all_is_as_before(cut, samples, qwen3_vl):
    prompts = cut.encode(samples[:1])
    own = cut.hf_model.register_forward_pre_hook(lambda *_: None)
    with whole(cut):
        pass  # the first time there are hooks to hang up
    before, methods = hooks(cut), {name: vars(cut)[name] for name in cut.PASSES}
    with whole(cut):
        assert is_whole(cut.parameters())
        assert is_spread(cut)
        assert [list(hook) for kinds in hooks(cut) for hook in kinds if hook] == [[own.id]]
        assert not cut.PASSES & vars(cut).keys()
        features = cut.with_features(prompts).items[0].features  # calls the tower alone, which is no root
        with whole(cut):
            pass
        assert is_whole(cut.parameters())
    assert not is_whole(cut.parameters())
    assert hooks(cut) == before
    assert all(vars(cut)[name] == method for name, method in methods.items())
    plain = loaded(qwen3_vl)
    expected = plain.with_features(plain.encode(samples[:1])).items[0].features
    assert torch.equal(features.pooler_output[0], expected.pooler_output[0])


def test_a_state_that_is_asked_for_leaves_weights_whole(cut, qwen3_vl):
    """An engine is pushed weights, and then asked whether it has them."""
    with whole(cut):
        found = whole_weights(cut)
        assert is_whole(cut.parameters())
    assert not is_whole(cut.parameters())
    expected = loaded(qwen3_vl).state_dict()
    assert {name: value.tolist() for name, value in found.items()} == {n: v.tolist() for n, v in expected.items()}


def test_an_adapter_is_handed_to_an_engine_while_weights_are_whole(alone, qwen3_vl, tmp_path):
    """The first rank alone writes it, so that nothing may have to be gathered."""
    written = []
    for name, place in {"plain": lambda policy: policy, "spread": spread}.items():
        torch.manual_seed(0)  # adapters begin at random
        policy = place(loaded(qwen3_vl, lora=LoRA(rank=2)))
        with whole(policy):
            AdapterPush().write(policy, tmp_path / name)
        written.append(load_file(tmp_path / name / "adapter_model.safetensors"))
    plain, spread_out = ({key: value.tolist() for key, value in weights.items()} for weights in written)
    assert plain == spread_out
    assert plain


def test_every_rank_gathers_a_weight_once_that_has_two_names(alone, qwen2_5_vl, monkeypatch):
    """Only the first keeps what was gathered; were others to gather it again, ranks would be out of step for good."""
    policy, names, gather = spread(loaded(qwen2_5_vl)), [], DTensor.full_tensor
    monkeypatch.setattr(DTensor, "full_tensor", lambda value: names[-1].append(id(value)) or gather(value))
    for rank in (0, 1):
        names.append([])
        monkeypatch.setattr("vrft_pl.distributed.weights.rank", lambda rank=rank: rank)
        assert len(whole_weights(policy)) == (0 if rank else len(policy.state_dict()))
    assert len(names[0]) == len(names[1]) == len(policy.state_dict()) - 1


def test_features_are_not_reused_where_weights_are_spread(cut, samples):
    """Ranks whose pictures lend themselves less to it would go through the tower alone."""
    cut.requires_grad_(False)
    assert cut.sees_alike
    with whole(cut):
        assert cut.look(cut.encode(samples[:1])).items[0].features is None

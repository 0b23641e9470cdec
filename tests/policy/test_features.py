import warnings

import pytest
import torch
from checkpoints import MIXED, loaded
from training import counting, fit, grpo
from transformers.modeling_outputs import BaseModelOutputWithPooling

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.policy import LoRA
from vrft_pl.policy.comparisons import probe
from vrft_pl.policy.features import join_features
from vrft_pl.rollout import LocalSampler

FROZEN = ("vision", "projector")
FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.getfixturevalue(request.param)


def count_looks(policy):
    """A list that grows whenever the vision tower runs."""
    looks = []
    policy.hf_model.get_encoder(modality="image").register_forward_pre_hook(lambda *_: looks.append(1))
    return looks


def test_logprobs_with_features_equal_those_with_pictures(family):
    policy = loaded(family, freeze=FROZEN)
    prompts = policy.encode(MIXED)
    looked = policy.look(prompts)
    assert [prompt.features is not None for prompt in looked] == [bool(sample.images) for sample in MIXED]
    completions = probe(policy, prompts)
    looks = count_looks(policy)
    for compute in (policy.shared_logprobs, policy.plain_logprobs):
        expected = compute(prompts, completions)
        assert len(looks) == 1
        got = compute(looked, completions)
        torch.testing.assert_close(got.logprobs, expected.logprobs, rtol=1e-5, atol=1e-6)
        assert len(looks) == 1
        looks.clear()


def test_a_part_of_the_prompts_finds_its_own_features(family):
    policy = loaded(family, freeze=FROZEN)
    looked = policy.look(policy.encode(MIXED))
    alone = policy.encode(MIXED).select([3, 0])
    completions = probe(policy, alone)
    got = policy.logprobs(looked.select([3, 0]), completions).logprobs
    torch.testing.assert_close(got, policy.logprobs(alone, completions).logprobs, rtol=1e-5, atol=1e-6)


def test_a_step_looks_at_each_picture_once_when_the_tower_is_frozen(qwen3_vl):
    policy = loaded(qwen3_vl, max_pixels=1024, freeze=FROZEN)
    for way in ("batching", "feature_reuse", "sharing"):  # the comparisons of the first use
        policy.may(way)
    LocalSampler().settle(policy)
    looks = count_looks(policy)
    module = grpo(None, policy, loss=GRPOLoss(kl_coefficient=0.1), num_iterations=2)
    with module.reference.model() as second:
        reference_looks = count_looks(second)
    fit(module, counting(size=4))
    assert len(looks) == 4
    assert not reference_looks


@pytest.mark.parametrize(
    ("options", "frozen"),
    [
        pytest.param({}, False, id="all-trained"),
        pytest.param({"freeze": ("vision",)}, False, id="projector-trained"),
        pytest.param({"freeze": FROZEN}, True, id="frozen"),
        pytest.param({"lora": LoRA()}, True, id="adapters-on-language"),
        pytest.param({"lora": LoRA(parts=("language", "vision"))}, False, id="adapters-on-vision"),
    ],
)
def test_features_are_kept_only_where_nothing_that_sees_is_trained(qwen2_vl, options, frozen):
    policy = loaded(qwen2_vl, **options)
    looked = policy.look(policy.encode(MIXED[:1]))
    assert (looked.items[0].features is not None) == frozen


def test_features_that_the_model_would_read_wrongly_are_not_reused(qwen2_vl, monkeypatch):
    policy = loaded(qwen2_vl, freeze=FROZEN)
    prompts = policy.encode(MIXED)
    monkeypatch.setattr(
        "vrft_pl.policy.vlm.join_features",
        lambda parts: BaseModelOutputWithPooling(
            pooler_output=[f.flip(0) for part in parts for f in part.pooler_output]
        ),
    )
    with pytest.warns(UserWarning, match="Qwen2VLForConditionalGeneration can't reuse the features"):
        assert policy.look(prompts) is prompts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert policy.look(prompts) is prompts


def test_text_alone_has_no_features(qwen2_vl):
    policy = loaded(qwen2_vl, freeze=FROZEN)
    prompts = policy.encode([MIXED[2]])
    assert policy.look(prompts).items[0].features is None
    assert "image_features" not in policy.batch(policy.look(prompts))[0]


def test_joined_features_keep_pictures_and_layers_apart():
    a, b = torch.zeros(1, 2), torch.ones(3, 2)
    parts = [
        BaseModelOutputWithPooling(last_hidden_state=x, pooler_output=(x,), hidden_states=[x, x + 5]) for x in (a, b)
    ]
    joined = join_features(parts)
    assert joined.last_hidden_state is None
    assert [f.tolist() for f in joined.pooler_output] == [a.tolist(), b.tolist()]
    assert [layer.shape for layer in joined.hidden_states] == [(4, 2), (4, 2)]
    assert joined.hidden_states[1][:, 0].tolist() == [5, 6, 6, 6]


def test_layers_that_a_model_does_not_keep_stay_empty():
    parts = [BaseModelOutputWithPooling(pooler_output=(x,), hidden_states=(None, x)) for x in torch.eye(2)[:, None]]
    joined = join_features(parts)
    assert joined.hidden_states[0] is None
    assert joined.hidden_states[1].equal(torch.eye(2))


def test_the_last_hidden_state_is_joined_where_a_tower_has_no_other_output():
    parts = [BaseModelOutputWithPooling(last_hidden_state=x) for x in torch.eye(2)[:, None]]
    assert join_features(parts).last_hidden_state.equal(torch.eye(2))


def test_features_that_no_tensor_holds_are_not_joined_and_not_reused(qwen2_vl, monkeypatch):
    shapes = [torch.zeros(1, 2, 3), torch.zeros(1, 4, 3)]
    assert join_features([BaseModelOutputWithPooling(pooler_output=x) for x in shapes]) is None
    policy = loaded(qwen2_vl, freeze=FROZEN)
    prompts = policy.encode(MIXED)
    monkeypatch.setattr("vrft_pl.policy.vlm.join_features", lambda parts: None)
    with pytest.warns(
        UserWarning, match="can't reuse the features .*: features of pictures of different sizes can't be"
    ):
        assert policy.look(prompts) is prompts


def test_a_model_that_raises_on_features_looks_again_with_one_warning(qwen2_vl, monkeypatch):
    policy = loaded(qwen2_vl, freeze=FROZEN)
    prompts = policy.encode(MIXED)
    monkeypatch.setattr("vrft_pl.policy.vlm.join_features", lambda parts: BaseModelOutputWithPooling())
    with pytest.warns(UserWarning, match="can't reuse the features of its frozen vision tower: it raises TypeError: "):
        assert policy.look(prompts) is prompts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert policy.look(prompts) is prompts

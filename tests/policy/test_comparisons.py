import copy
import warnings

import pytest
import torch
from checkpoints import MIXED, loaded
from families import noise_rows, write

from vrft_pl.policy import LoRA
from vrft_pl.policy.batching import collate, kept
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import InputError

FORWARDS = 8
"""Of the untouched model: two completions of the first question, one of the second, of two pictures and of none, and
one of another picture; then all in a batch, and that again for its gradients."""
GROUPS = write(loaded("tiny"), noise_rows([1, 7, 4, 11, 3, 1, 8, 2]))


def count_forwards(policy):
    """A list that grows whenever the model runs."""
    calls = []
    policy.hf_model.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def mixed(prompts, pad_token_id, joints):
    """A batch in which each prompt has the tokens of another's pictures, as where indices lose their offset."""
    batch = collate(prompts, pad_token_id)
    if len({id(prompt) for prompt in prompts}) > 1 and len(batch.get("image_grid_thw", [])) > 1:
        batch["pixel_values"] = batch["pixel_values"].flip(0)
    return batch


def test_a_prompt_alone_in_a_batch_and_untouched_is_the_same(checkpoint):
    policy = loaded(checkpoint)
    prompts, completions = policy.encode(MIXED), GROUPS.select([1, 3, 4, 6])
    with policy.evaluating():
        batch = policy.plain_logprobs(prompts, completions)
        for i in range(len(prompts)):
            row = completions.select([i])
            got = policy.untouched_logprobs(prompts[i : i + 1], row)
            for one, other in zip(got, batch, strict=True):
                torch.testing.assert_close(one, other[i : i + 1, : row.ids.shape[1]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use", ["logprobs", "generate"])
def test_a_plain_path_that_is_not_the_models_ends_with_one_line_before_it_is_used(checkpoint, use, monkeypatch):
    policy = loaded(checkpoint)
    plain = policy.plain_logprobs
    monkeypatch.setattr(policy, "batch", lambda *args, batch=policy.batch: shifted(*batch(*args)))
    prompts, sampler = policy.encode(MIXED), LocalSampler()
    uses = {
        "logprobs": lambda: policy.logprobs(prompts, GROUPS),
        "generate": lambda: sampler.generate(policy, prompts, 2, SamplingParams(4), range(len(prompts))),
    }
    with pytest.raises(InputError) as error:
        uses[use]()
    name = type(policy.hf_model).__name__
    assert str(error.value).startswith(
        f"Expected {name} to give a prompt the log-probs of the untouched model, but log-"
    )
    assert "(at most 0.0001)" in str(error.value)
    assert "\n" not in str(error.value)
    assert plain(policy.encode(MIXED), GROUPS).logprobs.isfinite().all()


def shifted(inputs, positions):
    return inputs, positions + torch.arange(positions.shape[-1]) // 4


def test_a_model_that_raises_ends_with_one_line(qwen3_vl, monkeypatch):
    policy = loaded(qwen3_vl)
    monkeypatch.setattr(policy, "batch", lambda *args: {}["cross_attention_mask"])
    with pytest.raises(InputError, match="but it raises KeyError: 'cross_attention_mask'. Models of this architecture"):
        policy.logprobs(policy.encode(MIXED), GROUPS)


def test_memory_that_runs_out_is_no_verdict(qwen3_vl, monkeypatch):
    policy = loaded(qwen3_vl)

    def batch(*args):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(policy, "batch", batch)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        policy.logprobs(policy.encode(MIXED), GROUPS)
    assert policy.verdicts.batching.decided is None


@pytest.mark.filterwarnings("ignore:.*can't pack several samples")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_prompts_that_would_be_mixed_are_computed_one_at_a_time_with_one_warning(checkpoint, dtype, monkeypatch):
    policy = loaded(checkpoint, dtype=dtype)
    prompts, rows = policy.encode(MIXED), []
    for i in range(len(prompts)):
        rows.append(policy.plain_logprobs(prompts[i : i + 1], GROUPS.select([2 * i, 2 * i + 1])).logprobs)
    expected = torch.cat([torch.nn.functional.pad(row, (0, 11 - row.shape[1])) for row in rows])
    monkeypatch.setattr("vrft_pl.policy.vlm.collate", mixed)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        got = policy.logprobs(prompts, GROUPS)
        assert got.logprobs.shape == got.entropy.shape == GROUPS.ids.shape
        assert not policy.may("packing")
        written = LocalSampler().generate(policy, prompts, 2, SamplingParams(8), range(len(prompts)))
        scored = policy.logprobs(prompts, written).logprobs
    said = [str(warning.message) for warning in record if "mixes the prompts of a batch: log" in str(warning.message)]
    assert len(said) == 1
    assert said[0].startswith(f"{type(policy.hf_model).__name__} mixes the prompts of a batch")
    tolerance = 1e-4 if dtype == "float32" else 0.1
    assert (got.logprobs - expected).abs().mean() < tolerance
    assert (scored - written.logprobs).abs().mean() < tolerance


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_comparison_runs_once_for_all_copies_without_a_word(checkpoint, dtype):
    policy = loaded(checkpoint, dtype=dtype)
    calls, twin = count_forwards(policy), copy.deepcopy(policy)
    modes, state = [module.training for module in policy.modules()], torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert policy.may("batching")
        assert len(calls) == FORWARDS
        for one in (policy, twin):
            assert one.may("batching")
    assert len(calls) == FORWARDS
    assert [module.training for module in policy.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_an_evaluation_that_asks_first_gets_the_same_answers(qwen3_vl):
    """Red where gradients are asked for in inference mode: it keeps none, or raises."""
    policy = loaded(qwen3_vl, lora=LoRA(rank=2, parts=("vision",)))
    with torch.inference_mode():
        assert policy.may("batching")
        with pytest.warns(UserWarning, match="what is seen depends on .*visual.*, which is trained"):
            assert not policy.may("feature_reuse")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_no_difference(checkpoint, dtype):
    policy = loaded(checkpoint)
    with torch.autocast("cpu", dtype=dtype), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert policy.may("batching")


def test_few_tokens_that_may_be_written_are_enough_to_compare(qwen3_vl):
    policy = loaded(qwen3_vl)
    policy.codec.banned_token_ids = tuple(range(3, 265))
    assert policy.may("batching")


def test_the_last_columns_are_read_of_a_model_that_ignores_which_are_wanted():
    whole = torch.arange(24).view(2, 6, 2)
    some, which = whole[:, -3:], torch.tensor([1, 2, 5])
    assert kept(whole, 3).equal(some)
    assert kept(some, 3).equal(some)
    assert kept(whole, which).equal(whole[:, which])
    assert kept(whole[:, which], which).equal(whole[:, which])

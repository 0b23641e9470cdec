import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from checkpoints import MIXED, loaded, sample
from families import distance, gradients, noise_rows, write

from vrft_pl.policy import VLM
from vrft_pl.policy.shared_prefix import GroupRows
from vrft_pl.types import InputError, Prompt, Prompts

LENGTHS = (1, 7, 4, 11, 3, 1, 8, 2)


def both(policy, samples=MIXED):
    """Prompts, and two completions of each."""
    return policy.encode(samples), write(policy, noise_rows(LENGTHS[: 2 * len(samples)]))


def warned(record):
    """What was said about sharing."""
    return [str(warning.message) for warning in record if "can't share a prompt" in str(warning.message)]


def count_calls(monkeypatch, name):
    """Log the batch size of each call of a method of `VLM`, but for the comparison with the untouched model."""
    calls, method = [], getattr(VLM, name)

    def counted(self, prompts, completions, temperature=1.0):
        if self.verdicts.batching.decided is not None:
            calls.append(len(prompts))
        return method(self, prompts, completions, temperature)

    monkeypatch.setattr(VLM, name, counted)
    return calls


def attend_as_one_text(self, layer, query, key, value, scale, dropout):
    """What a model does that hears of no layout: each completion sees those before it."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=True)


def assert_plain(policy, prompts, completions):
    got, plain = policy.logprobs(prompts, completions), policy.plain_logprobs(prompts, completions)
    assert torch.equal(got.logprobs, plain.logprobs)
    assert torch.equal(got.entropy, plain.entropy)


def test_a_model_with_sliding_windows_falls_back_with_one_warning(gemma3, monkeypatch):
    shared = count_calls(monkeypatch, "shared_logprobs")
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        policy = loaded(gemma3)
        prompts, completions = both(policy)
        assert_plain(policy, prompts, completions)
        assert_plain(policy, prompts, completions)
    (message,) = warned(record)
    assert message.startswith("Gemma3ForConditionalGeneration can't share a prompt among its completions")
    assert "it has layers of sliding_attention" in message
    assert "`shared_prefix: false`" in message
    assert not shared


def test_a_model_that_should_not_be_shared_would_give_other_logprobs(gemma3):
    policy = loaded(gemma3, shared_prefix=False)
    prompts, completions = both(policy)
    shared, plain = (f(prompts, completions).logprobs for f in (policy.shared_logprobs, policy.plain_logprobs))
    assert (shared - plain).abs().max() > 0.1


@pytest.mark.filterwarnings("ignore:.*can't share a prompt")
def test_a_window_that_no_layer_type_names_changes_no_logprob_of_a_later_longer_prompt(llava_window):
    policy = loaded(llava_window)
    policy.logprobs(*both(policy, [sample("How many?")]))
    prompts, completions = both(policy, [sample("How many are there? " * 20)])
    got, plain = policy.logprobs(prompts, completions), policy.plain_logprobs(prompts, completions)
    torch.testing.assert_close(got.logprobs, plain.logprobs, rtol=1e-5, atol=1e-5)


def test_sharing_that_is_insisted_on_is_refused_where_it_can_not_be(gemma3, qwen3_vl):
    with pytest.raises(InputError, match="Gemma3ForConditionalGeneration to share prompts, but it has layers of slid"):
        loaded(gemma3, shared_prefix=True)
    with pytest.raises(InputError, match="but its attention is `eager`.* Use `shared_prefix: auto`"):
        loaded(qwen3_vl, attention="eager", shared_prefix=True)


def test_an_unknown_mode_is_refused(qwen3_vl):
    with pytest.raises(ValueError, match="Expected `shared_prefix` to be `auto`, `true` or `false`, but got 'never'"):
        loaded(qwen3_vl, shared_prefix="never")


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3"])
def test_switched_off_nothing_is_shared_compared_or_said(family, request, monkeypatch):
    shared, plain = (count_calls(monkeypatch, name) for name in ("shared_logprobs", "plain_logprobs"))
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        policy = loaded(request.getfixturevalue(family), shared_prefix=False)
        policy.logprobs(*both(policy))
    assert not warned(record)
    assert (shared, plain) == ([], [len(MIXED)])


def test_insisted_on_everything_is_shared_and_nothing_compared(qwen3_vl, monkeypatch):
    shared, plain = (count_calls(monkeypatch, name) for name in ("shared_logprobs", "plain_logprobs"))
    policy = loaded(qwen3_vl, shared_prefix=True)
    policy.logprobs(*both(policy))
    assert (shared, plain) == ([len(MIXED)], [])


def test_another_attention_falls_back_with_one_warning(qwen3_vl, monkeypatch):
    shared = count_calls(monkeypatch, "shared_logprobs")
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        policy = loaded(qwen3_vl, attention="eager")
        prompts, completions = both(policy)
        assert_plain(policy, prompts, completions)
    (message,) = warned(record)
    assert "its attention is `eager`, not `sdpa` or `flex_attention`" in message
    assert not shared
    expected = loaded(qwen3_vl).logprobs(prompts, completions).logprobs
    torch.testing.assert_close(policy.logprobs(prompts, completions).logprobs, expected, rtol=1e-5, atol=1e-5)


def test_attention_that_ignores_the_layout_is_caught_by_the_comparison(qwen2_vl, monkeypatch):
    monkeypatch.setattr(GroupRows, "attend", attend_as_one_text)
    shared = count_calls(monkeypatch, "shared_logprobs")
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        policy = loaded(qwen2_vl)
        prompts, completions = both(policy)
        for _ in range(2):
            assert_plain(policy, prompts, completions)
    (message,) = warned(record)
    assert "Qwen2VLForConditionalGeneration" in message
    assert "log-probs differ from those of the plain forward by" in message
    assert "(at most 0.0001)" in message
    assert len(shared) == 1


def test_attention_that_is_no_number_is_caught_by_the_comparison(qwen2_vl, monkeypatch):
    monkeypatch.setattr(GroupRows, "attend", lambda self, layer, query, *_: query * float("nan"))
    policy = loaded(qwen2_vl)
    with pytest.warns(UserWarning, match="differ from those of the plain forward by nan"):
        assert_plain(policy, *both(policy))


def test_attention_that_ignores_the_layout_is_caught_in_half_precision(qwen2_vl, monkeypatch):
    monkeypatch.setattr(GroupRows, "attend", attend_as_one_text)
    policy = loaded(qwen2_vl, dtype="bfloat16")
    with pytest.warns(UserWarning, match="can't share a prompt"):
        assert_plain(policy, *both(policy))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl", "llava_onevision", "smolvlm", "internvl"])
def test_a_model_that_can_share_does_so_without_a_word(family, dtype, request, monkeypatch):
    policy = loaded(request.getfixturevalue(family), dtype=dtype)
    prompts, completions = both(policy)
    expected = policy.shared_logprobs(prompts, completions)
    shared = count_calls(monkeypatch, "shared_logprobs")
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        got = policy.logprobs(prompts, completions)
    assert not warned(record)
    assert shared == [2, len(MIXED)]
    assert torch.equal(got.logprobs, expected.logprobs)


def test_the_comparison_runs_once_and_on_two_prompts_only(qwen3_vl, monkeypatch):
    shared, plain = (count_calls(monkeypatch, name) for name in ("shared_logprobs", "plain_logprobs"))
    policy = loaded(qwen3_vl)
    prompts, completions = both(policy)
    for _ in range(3):
        policy.logprobs(prompts, completions)
    assert (shared, plain) == ([2, 4, 4, 4], [2])


def test_one_completion_a_prompt_is_neither_shared_nor_compared(qwen3_vl, monkeypatch):
    shared, plain = (count_calls(monkeypatch, name) for name in ("shared_logprobs", "plain_logprobs"))
    policy = loaded(qwen3_vl)
    policy.logprobs(policy.encode(MIXED), write(policy, noise_rows(LENGTHS[: len(MIXED)])))
    assert (shared, plain) == ([], [len(MIXED)])
    assert policy.verdicts.sharing.decided is None


@pytest.mark.parametrize("broken", [False, True], ids=["shares", "falls-back"])
def test_copies_share_what_one_of_them_found(qwen2_vl, monkeypatch, broken):
    if broken:
        monkeypatch.setattr(GroupRows, "attend", attend_as_one_text)
    policy = loaded(qwen2_vl)
    twin = copy.deepcopy(policy)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        twin.logprobs(*both(twin))
        shared, plain = (count_calls(monkeypatch, name) for name in ("shared_logprobs", "plain_logprobs"))
        for each in (policy, twin, copy.deepcopy(twin)):
            each.logprobs(*both(each))
    assert len(warned(record)) == broken
    assert (shared, plain) == (([], [4] * 3) if broken else ([4] * 3, []))
    assert policy.verdicts.sharing.decided is twin.verdicts.sharing.decided is (not broken)


@pytest.mark.parametrize("broken", [False, True], ids=["shares", "falls-back"])
def test_the_comparison_leaves_mode_and_gradients_as_they_were(qwen2_vl, monkeypatch, broken):
    if broken:
        monkeypatch.setattr(GroupRows, "attend", attend_as_one_text)
    policy = loaded(qwen2_vl)
    policy.hf_model.get_encoder(modality="image").eval()
    modes = [module.training for module in policy.modules()]
    prompts, completions = both(policy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logprobs = policy.logprobs(prompts, completions).logprobs
    assert [module.training for module in policy.modules()] == modes
    assert len(set(modes)) == 2
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in policy.parameters())
    got = gradients(policy, logprobs.square().sum())
    expected = gradients(policy, policy.plain_logprobs(prompts, completions).logprobs.square().sum())
    assert distance(got, expected) <= 1e-5


def test_the_comparison_draws_no_random_number(qwen3_vl):
    policy = loaded(qwen3_vl)
    prompts, completions = both(policy)
    before = torch.get_rng_state()
    policy.logprobs(prompts, completions)
    assert torch.equal(torch.get_rng_state(), before)


PICTURES = [one for one in MIXED if one.images]
"""PaliGemma's processor takes no prompt without one."""
NUMPY = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
"""It hands a tensor to an older way of numpy."""


def without_labels(prompts):
    return Prompts(tuple(Prompt({k: v for k, v in p.inputs.items() if k != "labels"}, p.frame) for p in prompts))


@NUMPY
def test_a_prompt_that_sees_itself_in_both_directions_is_caught_by_the_comparison(paligemma):
    policy = loaded(paligemma)
    prompts, completions = both(policy, PICTURES)
    prompts = without_labels(prompts)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        for _ in range(2):
            assert_plain(policy, prompts, completions)
    (message,) = warned(record)
    assert "PaliGemmaForConditionalGeneration" in message
    assert "log-probs differ from those of the plain forward" in message


@NUMPY
def test_labels_of_a_processor_are_not_handed_to_the_model(paligemma):
    policy, given = loaded(paligemma, shared_prefix=False), []
    policy.hf_model.register_forward_pre_hook(lambda _, args, inputs: given.append(set(inputs)), with_kwargs=True)
    policy.logprobs(*both(policy, PICTURES))
    assert given
    assert not any("labels" in inputs for inputs in given)


@NUMPY
def test_a_completion_does_not_see_its_own_future(paligemma):
    policy = loaded(paligemma, shared_prefix=False)
    prompts = without_labels(policy.encode(PICTURES[:1]))
    first, second = noise_rows([5, 5])
    changed = [policy.plain_logprobs(prompts, write(policy, [row])).logprobs for row in (first, first[:2] + second[2:])]
    torch.testing.assert_close(changed[0][:, :2], changed[1][:, :2], rtol=1e-5, atol=1e-5)


def test_the_comparison_is_about_pictures_whatever_the_batch_holds(qwen2_vl, monkeypatch):
    policy, compared = loaded(qwen2_vl), []
    policy.may("batching")
    shared = policy.shared_logprobs
    monkeypatch.setattr(policy, "shared_logprobs", lambda p, *args: compared.append(list(p)) or shared(p, *args))
    policy.logprobs(*both(policy, [MIXED[2]]))
    assert [[prompt.frame is not None for prompt in batch] for batch in compared] == [[True, True], [False]]


def test_ranks_that_find_different_things_reach_one_verdict(qwen2_vl, monkeypatch):
    policy = loaded(qwen2_vl)
    monkeypatch.setattr("vrft_pl.policy.verdicts.gather", lambda reason: [reason, "another rank is off by 3 nats"])
    with pytest.warns(UserWarning, match="can't share a prompt .*: another rank is off by 3 nats"):
        assert not policy.may("sharing")

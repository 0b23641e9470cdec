from types import SimpleNamespace

import pytest
import torch
from checkpoints import END_OF_TURN, EOS, HALT, MIXED, PAD, SPECIAL, loaded
from scipy.stats import chisquare
from training import counting

from vrft_pl.policy import LoRA
from vrft_pl.policy.batching import collate
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.rollout.decoding import prefill
from vrft_pl.rollout.local import draw, truncate
from vrft_pl.rollout.seeds import prompt_seeds
from vrft_pl.types import InputError

GREEDY = SamplingParams(max_tokens=24, temperature=0.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def generate(policy, prompts, group_size=1, params=GREEDY, seed=0, max_rows=1024):
    return LocalSampler(max_rows).generate(policy, prompts, group_size, params, range(seed, seed + len(prompts)))


def make_ends_likelier(policy, by):
    """Raise the logits of all end tokens, so that rows of a random policy finish at different steps."""
    head = policy.hf_model.get_output_embeddings()
    bias = torch.zeros(head.out_features)
    bias[list(policy.end_token_ids)] = by
    head.bias = torch.nn.Parameter(bias)


@pytest.mark.parametrize("group_size", [1, 2])
def test_greedy_tokens_are_those_of_transformers(checkpoint, samples, group_size):
    policy = loaded(checkpoint)
    prompts = policy.encode(samples)
    got = generate(policy, prompts, group_size)
    for i, prompt in enumerate(prompts):
        for row in range(i * group_size, (i + 1) * group_size):
            assert got.ids[row, got.mask[row]].tolist() == reference(policy, dict(prompt.inputs))[0]
    batch = collate(prompts, policy.pad_token_id)
    assert [got.ids[i * group_size, got.mask[i * group_size]].tolist() for i in range(4)] == reference(policy, batch)
    assert got.logprobs is None


def reference(policy, inputs):
    with policy.evaluating():
        rows = policy.hf_model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=GREEDY.max_tokens,
            suppress_tokens=list(policy.banned_token_ids),
            eos_token_id=list(policy.end_token_ids),
        )[:, inputs["input_ids"].shape[1] :].tolist()
    ends = [next((t + 1 for t, token in enumerate(row) if token in policy.end_token_ids), len(row)) for row in rows]
    return [row[:end] for row, end in zip(rows, ends, strict=True)]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampled_logprobs_are_those_of_the_policy(checkpoint, samples, temperature):
    policy = loaded(checkpoint)
    make_ends_likelier(policy, 1.0)
    prompts = policy.encode(samples)
    got = generate(policy, prompts, 4, SamplingParams(32, temperature))
    assert len(set(got.mask.sum(1).tolist())) > 4
    expected = policy.logprobs(prompts, got, temperature).logprobs
    assert LocalSampler().exact
    torch.testing.assert_close(got.logprobs, expected, rtol=1e-4, atol=1e-4)
    assert not got.logprobs[~got.mask].any()
    assert len(set(got.texts[:4])) == 4


def test_completions_stop_at_every_end_token_and_at_the_limit(checkpoint, samples):
    policy = loaded(checkpoint)
    make_ends_likelier(policy, 1.0)
    got = generate(policy, policy.encode(samples), 16, SamplingParams(16))
    ends, last = set(policy.end_token_ids), []
    for i in range(len(got)):
        row = got.ids[i, got.mask[i]].tolist()
        assert not ends & set(row[:-1])
        assert (row[-1] in ends) == (got.finish_reasons[i] == "stop")
        assert got.finish_reasons[i] == "stop" or len(row) == 16
        assert got.texts[i] == policy.codec.tokenizer.decode([t for t in row if t not in ends])
        last.append(row[-1])
    assert {SPECIAL.index(t) for t in (PAD, EOS, END_OF_TURN, HALT)} <= set(last)
    assert set(got.finish_reasons) == {"stop", "length"}
    assert got.truncated.tolist() == [reason == "length" for reason in got.finish_reasons]


def test_an_end_token_at_the_limit_is_a_stop(qwen3_vl, samples):
    policy = loaded(qwen3_vl)
    make_ends_likelier(policy, 100.0)
    got = generate(policy, policy.encode(samples), 2, SamplingParams(1))
    assert set(got.finish_reasons) == {"stop"}
    assert got.mask.tolist() == [[True]] * 8
    assert set(got.texts) == {""}


def test_the_completions_are_as_wide_as_the_longest(qwen3_vl, samples):
    policy = loaded(qwen3_vl)
    make_ends_likelier(policy, 100.0)
    assert generate(policy, policy.encode(samples)).ids.shape == (4, 1)


def test_a_row_that_finishes_does_not_disturb_the_others(checkpoint, samples):
    """Greedy rows of a batch, in which some finish early, equal the rows written alone."""
    policy = loaded(checkpoint)
    prompts = policy.encode([*samples, *samples[::-1]])
    plain = generate(policy, prompts[:4])
    policy.codec.end_token_ids = (plain.ids[1, 3].item(), plain.ids[2, 7].item())
    got = generate(policy, prompts)
    lengths = got.mask.sum(1).tolist()
    assert len(set(lengths)) > 1
    for i in range(len(prompts)):
        alone = generate(policy, prompts[i : i + 1])
        assert alone.ids[0].tolist() == got.ids[i, : lengths[i]].tolist()
        assert alone.finish_reasons[0] == got.finish_reasons[i]


@pytest.mark.parametrize("max_rows", [1, 3, 4, 100])
def test_decoding_in_chunks_changes_nothing(checkpoint, samples, max_rows):
    policy = loaded(checkpoint)
    prompts = policy.encode(samples)
    whole, parts = generate(policy, prompts, 2), generate(policy, prompts, 2, max_rows=max_rows)
    assert torch.equal(whole.ids, parts.ids)
    assert torch.equal(whole.mask, parts.mask)
    assert (whole.texts, whole.finish_reasons, whole.frames) == (parts.texts, parts.finish_reasons, parts.frames)


def test_sampled_chunks_have_the_policys_logprobs(qwen3_vl, samples):
    policy = loaded(qwen3_vl)
    make_ends_likelier(policy, 2.0)
    prompts = policy.encode(samples)
    got = generate(policy, prompts, 2, SamplingParams(16), max_rows=2)
    torch.testing.assert_close(got.logprobs, policy.logprobs(prompts, got).logprobs, rtol=1e-4, atol=1e-4)


def test_max_rows_bounds_the_completions_decoded_at_once(qwen3_vl, samples):
    policy, rows = loaded(qwen3_vl), []
    LocalSampler().settle(policy)
    policy.hf_model.register_forward_pre_hook(lambda _, args, kw: rows.append(len(kw["input_ids"])), with_kwargs=True)
    generate(policy, policy.encode(samples), 2, max_rows=4)
    assert max(rows) == 4


@pytest.mark.parametrize("share", [True, False], ids=["shared", "repeated"])
def test_finished_rows_leave_when_they_are_more_than_an_eighth(qwen3_vl, samples, share):
    policy, fed = loaded(qwen3_vl, shared_prefix=share), []
    make_ends_likelier(policy, 2.0)
    prompts = policy.encode(samples)
    assert policy.may("batching")
    assert policy.may("sharing") == share
    LocalSampler().settle(policy)
    policy.hf_model.register_forward_pre_hook(lambda _, args, kw: fed.append(len(kw["input_ids"])), with_kwargs=True)
    lengths = generate(policy, prompts, 6, SamplingParams(16)).mask.sum(dim=1)
    expected, present = [len(prompts)], lengths  # the prompts themselves, once
    for written in range(1, int(lengths.max())):
        if (present <= written).sum() > len(present) / 8:
            present = present[present > written]
        expected.append(len(present))
    assert fed == expected
    assert len(set(fed[1:])) > 4


def test_weights_that_are_spread_over_ranks_are_refused(qwen3_vl, samples):
    policy = loaded(qwen3_vl)
    prompts = policy.encode(samples)
    next(policy.parameters()).ds_status = SimpleNamespace(name="NOT_AVAILABLE")  # as ZeRO-3 marks one
    with pytest.raises(
        InputError, match="LocalSampler needs whole weights on each device, but ranks hold them together"
    ):
        generate(policy, prompts)


def test_max_rows_must_be_positive():
    with pytest.raises(ValueError, match="`max_rows` to be at least 1 completion, but got 0"):
        LocalSampler(0)


@pytest.mark.parametrize("mode", ["train", "eval", "mixed"])
def test_the_mode_of_each_module_is_restored(qwen3_vl, samples, mode):
    policy = loaded(qwen3_vl).train(mode != "eval")
    if mode == "mixed":
        policy.hf_model.get_encoder(modality="image").eval()
    before = [module.training for module in policy.modules()]
    generate(policy, policy.encode(samples[:1]))
    assert [module.training for module in policy.modules()] == before
    assert torch.is_grad_enabled()


def test_sampling_is_done_without_dropout(qwen3_vl, samples):
    policy = loaded(qwen3_vl, lora=LoRA(rank=4, dropout=0.5))
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=seeded())
    prompts = policy.encode(samples)
    got = generate(policy, prompts, 2, SamplingParams(8))
    with policy.evaluating():
        torch.testing.assert_close(got.logprobs, policy.logprobs(prompts, got).logprobs, rtol=1e-4, atol=1e-4)


def test_the_global_generator_is_untouched(qwen3_vl, samples):
    policy = loaded(qwen3_vl)
    prompts, before = policy.encode(samples), torch.get_rng_state()
    generate(policy, prompts, 2, SamplingParams(8))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_alone_decides_what_is_sampled(checkpoint, samples):
    policy = loaded(checkpoint)
    prompts = policy.encode(samples)
    first = generate(policy, prompts, 2, SamplingParams(8), seed=1)
    torch.manual_seed(5)
    again, other = (generate(policy, prompts, 2, SamplingParams(8), seed=seed) for seed in (1, 2))
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.logprobs, again.logprobs)
    assert first.texts != other.texts


def test_media_tokens_are_never_sampled(checkpoint, samples):
    policy = loaded(checkpoint)
    head = policy.hf_model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(head.out_features))
    with torch.no_grad():
        head.bias[list(policy.banned_token_ids)] = 100.0
    for params in (SamplingParams(8), GREEDY):
        got = generate(policy, policy.encode(samples), 2, params)
        assert not torch.isin(got.ids, torch.tensor(policy.banned_token_ids)).any()


def test_sampled_tensors_can_enter_a_loss(qwen3_vl, samples):
    policy = loaded(qwen3_vl)
    got = generate(policy, policy.encode(samples[:1]), 1, SamplingParams(4))
    assert not got.logprobs.is_inference()
    assert not got.logprobs.requires_grad


def test_frames_stand_beside_their_completions(qwen3_vl):
    policy = loaded(qwen3_vl)
    prompts = policy.encode(MIXED)
    frames = [prompt.frame for prompt in prompts]
    assert list(generate(policy, prompts, 2).frames) == [frame for frame in frames for _ in range(2)]


LOGITS = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]).log()


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        pytest.param(0, 1.0, [[0, 1, 2, 3], [0, 1, 2, 3]], id="all"),
        pytest.param(1, 1.0, [[0], [3]], id="top-1"),
        pytest.param(2, 1.0, [[0, 1], [2, 3]], id="top-2"),
        pytest.param(9, 1.0, [[0, 1, 2, 3], [0, 1, 2, 3]], id="top-k-above-the-vocabulary"),
        pytest.param(0, 0.5, [[0], [2, 3]], id="top-p-reached-exactly"),
        pytest.param(0, 0.6, [[0, 1], [2, 3]], id="top-p"),
        pytest.param(0, 0.001, [[0], [3]], id="likeliest-always-stays"),
        pytest.param(2, 0.7, [[0, 1], [2, 3]], id="top-p-of-what-top-k-leaves"),
        pytest.param(2, 0.6, [[0], [2, 3]], id="top-p-is-renormalised-after-top-k"),
    ],
)
def test_truncation_keeps_the_likeliest_tokens(top_k, top_p, kept):
    got = truncate(LOGITS, top_k, top_p)
    assert [row.isfinite().nonzero().flatten().tolist() for row in got] == kept
    assert torch.equal(got[got.isfinite()], LOGITS[got.isfinite()])


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(SamplingParams(), [0.5, 0.25, 0.15, 0.1], id="plain"),
        pytest.param(SamplingParams(top_k=2), [2 / 3, 1 / 3, 0, 0], id="top-k"),
        pytest.param(SamplingParams(top_p=0.8), [5 / 9, 5 / 18, 1 / 6, 0], id="top-p"),
    ],
)
def test_tokens_are_drawn_from_the_softmax(params, expected):
    expected, num_draws = torch.tensor(expected, dtype=torch.float64), 20_000
    logits = torch.tensor([0.5, 0.25, 0.15, 0.1]).log() + 3
    levels = torch.rand(num_draws, 1, generator=seeded(), dtype=torch.float64)
    tokens, logprobs = draw(logits.expand(num_draws, -1), params, levels)
    counts, allowed = tokens.bincount(minlength=4), expected > 0
    assert not counts[~allowed].any()
    assert chisquare(counts[allowed], expected[allowed] * num_draws).pvalue > 0.01
    torch.testing.assert_close(logprobs.double(), expected[tokens].log(), rtol=1e-5, atol=1e-5)


def test_temperature_zero_takes_the_likeliest_token():
    assert draw(LOGITS, SamplingParams(temperature=0.0), None)[0].tolist() == [0, 3]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"max_tokens": 0}, "`max_tokens` to be at least 1 token, but got 0", id="max_tokens"),
        pytest.param({"temperature": -0.1}, "`temperature` to be 0 or more, but got -0.1", id="temperature"),
        pytest.param({"temperature": float("nan")}, "`temperature` to be 0 or more, but got nan", id="nan"),
        pytest.param({"temperature": float("inf")}, "`temperature` to be 0 or more, but got inf", id="infinite"),
        pytest.param({"top_k": -1}, "`top_k` to be 0 or more, but got -1", id="top_k"),
        pytest.param({"top_p": 0.0}, r"`top_p` to be in \(0, 1\], but got 0.0", id="top_p-zero"),
        pytest.param({"top_p": 1.1}, r"`top_p` to be in \(0, 1\], but got 1.1", id="top_p-above-one"),
    ],
)
def test_sampling_parameters_have_ranges(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SamplingParams(**kwargs)


@pytest.mark.parametrize(
    ("params", "truncates"),
    [(SamplingParams(), False), (SamplingParams(top_k=5), True), (SamplingParams(top_p=0.9), True)],
    ids=["plain", "top-k", "top-p"],
)
def test_truncating_parameters_say_so(params, truncates):
    assert params.truncates == truncates


def test_tokens_behind_the_end_are_padding(checkpoint, samples):
    policy = loaded(checkpoint)
    make_ends_likelier(policy, 1.0)
    got = generate(policy, policy.encode(samples), 8, SamplingParams(32))
    assert not got.mask.all()
    assert (got.ids[~got.mask] == policy.pad_token_id).all()


def test_attention_that_knows_masks_only_decodes_on_the_models_own_cache(internvl, samples, monkeypatch):
    def refuse(*_):
        raise AssertionError

    policy = loaded(internvl)
    prompts = policy.encode(samples)
    expected = generate(policy, prompts, 2)
    masks_only = loaded(internvl, shared_prefix=True)
    masks_only.hf_model.config.get_text_config()._attn_implementation = "sdpa"
    monkeypatch.setattr("vrft_pl.rollout.local.SharedPrompt", refuse)
    assert generate(masks_only, prompts, 2).texts == expected.texts


def test_what_memory_does_not_hold_is_decoded_in_halves_with_the_same_completions(qwen3_vl, monkeypatch):
    task = counting(size=6)
    task.setup("fit")
    samples = [task.datasets("train")["train"][i] for i in range(6)]
    policy = loaded(qwen3_vl, max_pixels=1024)
    prompts, params, seeds = policy.encode(samples), SamplingParams(6), prompt_seeds(samples, 0)
    plain = LocalSampler().generate(policy, prompts, 4, params, seeds)
    limits, asked = [9], []

    def full(policy, prompts):
        asked.append(len(prompts))
        if len(prompts) * 4 > limits[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return prefill(policy, prompts)

    monkeypatch.setattr("vrft_pl.rollout.local.prefill", full)
    sampler = LocalSampler()
    with pytest.warns(UserWarning, match="Out of memory in a rollout: at most 12 completions are decoded") as told:
        split, again = (sampler.generate(policy, prompts, 4, params, seeds) for _ in range(2))
    assert split.texts == again.texts == plain.texts
    assert torch.equal(split.ids, plain.ids)
    torch.testing.assert_close(split.logprobs, plain.logprobs, rtol=1e-4, atol=1e-5)
    assert asked == [6, 3, *[1] * 6, *[1] * 6]
    assert sum("Out of memory" in str(warning.message) for warning in told) == 1
    limits[0] = 0
    with pytest.raises(torch.OutOfMemoryError):
        sampler.generate(policy, prompts, 4, params, seeds)

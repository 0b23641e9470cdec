import math

import pytest
import torch
from checkpoints import MIXED, NoiseImage, loaded, sample
from precision import assert_apart_by_rounding, in_double
from scipy.stats import chisquare
from transformers import AutoModelForImageTextToText

from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.rollout.decoding import RepeatedPrompt, SharedPrompt, prefill
from vrft_pl.rollout.local import draw
from vrft_pl.types import Completions

FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
TEXT = [sample("One and two?"), sample("How many?"), sample("A longer question, with more words in it.")]
ALIKE = [sample("How many?", [NoiseImage(48, 48, seed)]) for seed in range(3)]
LIKELY = 1e-3


@pytest.fixture(params=FAMILIES)
def family(request):
    """Every family, one after the other."""
    return request.getfixturevalue(request.param)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def decode(policy, samples, group_size, decoder_class, num_steps, keeps=None):
    """Logits of each step on random tokens; `keeps` says which rows, as first counted, are left before a step."""
    with policy.evaluating():
        start = prefill(policy, policy.encode(samples))
        decoder = decoder_class(policy, start, group_size)
        tokens = torch.randint(20, 260, (num_steps, len(samples) * group_size), generator=seeded())
        rows, logits = torch.arange(len(samples) * group_size), []
        for t in range(num_steps):
            if keeps and t in keeps:
                left = torch.tensor(keeps[t])
                decoder.keep(torch.searchsorted(rows, left))
                rows = left
            logits.append(decoder.step(tokens[t, rows]))
    return logits


def assert_same_logits(policy, samples, group_size, num_steps=5, keeps=None):
    both = [decode(policy, samples, group_size, one, num_steps, keeps) for one in (SharedPrompt, RepeatedPrompt)]
    for shared, repeated in zip(*both, strict=True):
        torch.testing.assert_close(shared, repeated, rtol=1e-4, atol=1e-4)
    return both[0]


@pytest.mark.parametrize("group_size", [1, 3])
@pytest.mark.parametrize("samples", [MIXED, TEXT, ALIKE], ids=["mixed", "text", "no-padding"])
def test_a_shared_prompt_gives_the_logits_of_a_repeated_one(family, samples, group_size):
    logits = assert_same_logits(loaded(family), samples, group_size)
    assert [len(step) for step in logits] == [len(samples) * group_size] * 5
    assert all((a - b).abs().max() > 1e-2 for a, b in zip(logits, logits[1:], strict=False))


KEEPS = {
    "uneven": {2: [0, 1, 2, 4, 6, 8, 9, 11]},
    "even": {2: [0, 1, 3, 5, 6, 7, 9, 10]},
    "last-slots": {1: [2, 5, 8, 11]},
    "a-prompt-vanishes": {2: [0, 1, 2, 6, 7, 8, 10]},
    "all-but-one-vanish": {1: [7]},
    "first-and-last-vanish": {0: [3, 4, 5, 7]},
    "nothing-leaves": {1: list(range(12))},
    "again-and-again": {
        1: [0, 2, 3, 4, 5, 7, 9, 10, 11],
        2: [2, 3, 5, 7, 10, 11],
        3: [3, 5, 10, 11],
        5: [5, 10],
        6: [10],
    },
}


@pytest.mark.parametrize("keeps", KEEPS.values(), ids=KEEPS)
@pytest.mark.parametrize("samples", [MIXED, [*ALIKE, ALIKE[0]]], ids=["mixed", "no-padding"])
def test_rows_that_stay_do_not_notice_rows_that_leave(checkpoint, samples, keeps):
    policy = loaded(checkpoint)
    logits = assert_same_logits(policy, samples, 3, 8, keeps)
    rows, undisturbed = list(range(12)), decode(policy, samples, 3, SharedPrompt, 8)
    for t, step in enumerate(logits):
        rows = keeps.get(t, rows)
        torch.testing.assert_close(step, undisturbed[t][rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("capacity", [1, 2, 3])
@pytest.mark.parametrize("keeps", [None, KEEPS["again-and-again"]], ids=["all-stay", "some-leave"])
def test_the_cache_of_completions_grows(checkpoint, capacity, keeps, monkeypatch):
    monkeypatch.setattr("vrft_pl.rollout.decoding.FIRST_CAPACITY", capacity)
    assert_same_logits(loaded(checkpoint), MIXED, 3, 13, keeps)


@pytest.mark.parametrize("decoder_class", [SharedPrompt, RepeatedPrompt])
def test_steps_give_the_logits_of_the_whole_row(checkpoint, decoder_class):
    """The transformers model itself, on prompt and completion side by side, without cache or padding."""
    policy = loaded(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    logits = torch.stack(decode(policy, MIXED, 2, decoder_class, 4), dim=1)
    tokens = torch.randint(20, 260, (4, 8), generator=seeded())
    for i, prompt in enumerate(policy.encode(MIXED)):
        for row in (2 * i, 2 * i + 1):
            inputs, tail = dict(prompt.inputs), tokens[:, row][None]
            inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(tail)], dim=1)
            with torch.no_grad():
                expected = model(**inputs).logits[0, -4:]
            torch.testing.assert_close(logits[row], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("samples", [MIXED, ALIKE], ids=["mixed", "no-padding"])
def test_a_prompts_cache_is_held_once(checkpoint, samples):
    policy = loaded(checkpoint)
    with policy.evaluating():
        start = prefill(policy, policy.encode(samples))
        before = [(layer.keys, layer.values) for layer in start.cache.layers]
        decoder = SharedPrompt(policy, start, 5)
        for _ in range(3):
            decoder.step(torch.full((5 * len(samples),), 20))
        for pair, old in zip(decoder.prompts, before, strict=True):
            for tensor, cached in zip(pair, old, strict=True):
                assert tensor.shape[0] == len(samples)
                assert tensor.data_ptr() == cached.data_ptr()
        decoder.keep(torch.tensor([0, 1, 2, 3, 4, 10]))
        assert {len(tensor) for pair in decoder.prompts for tensor in pair} == {2}
        assert {tensor.shape[0] * tensor.shape[2] for pair in decoder.own for tensor in pair} == {2 * 5}


def test_greedy_tokens_of_shared_prompts_are_those_of_transformers(family):
    policy, model = loaded(family, shared_prefix=True), AutoModelForImageTextToText.from_pretrained(family)
    prompts = policy.encode(MIXED)
    got = LocalSampler().generate(policy, prompts, 2, SamplingParams(24, 0.0), range(len(prompts)))
    for i, prompt in enumerate(prompts):
        expected = model.generate(
            **prompt.inputs,
            do_sample=False,
            max_new_tokens=24,
            suppress_tokens=list(policy.banned_token_ids),
            eos_token_id=list(policy.end_token_ids),
        )[0, prompt.num_tokens :]
        for row in (2 * i, 2 * i + 1):
            assert got.ids[row, got.mask[row]].tolist() == expected.tolist()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("share", [True, False], ids=["shared", "repeated"])
def test_sampled_logprobs_are_the_policys_to_rounding(family, share, temperature):
    policy = loaded(family, shared_prefix=share)
    head = policy.hf_model.get_output_embeddings()
    bias = torch.zeros(head.out_features)
    bias[list(policy.end_token_ids)] = 1.0
    head.bias = torch.nn.Parameter(bias)
    prompts = policy.encode(MIXED)
    got = LocalSampler().generate(policy, prompts, 4, SamplingParams(32, temperature), range(len(prompts)))
    assert len(set(got.mask.sum(1).tolist())) > 4
    with torch.no_grad():
        expected = policy.logprobs(prompts, got, temperature).logprobs
        exact = in_double(policy).logprobs(prompts, got, temperature).logprobs
    assert_apart_by_rounding(got.logprobs, expected, exact)


@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_attention_is_scaled_as_the_model_says(checkpoint, scale):
    policy, plain = loaded(checkpoint), loaded(checkpoint)
    for layer in policy.hf_model.get_decoder().layers:
        layer.self_attn.scaling = scale
    logits = assert_same_logits(policy, MIXED, 2)
    other = decode(plain, MIXED, 2, SharedPrompt, 5)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(logits, other, strict=True))


FEW = range(30, 34)
"""Tokens that can be drawn, beside the end token, where all others are banned."""


def all_but_few(config, processor, ends):
    return [i for i in range(config.get_text_config().vocab_size) if i not in (ends[0], *FEW)]


def outcomes(policy, prompts, allowed, temperature):
    """Completions of at most two tokens, and the probability of each under each prompt."""
    end, *others = allowed
    rows = [[end], *([a, b] for a in others for b in allowed)]
    ids = torch.tensor([row + [policy.pad_token_id] * (2 - len(row)) for row in rows]).repeat(len(prompts), 1)
    mask = torch.tensor([[True, len(row) == 2] for row in rows]).repeat(len(prompts), 1)
    count = len(ids)
    completions = Completions(ids, mask, None, ("",) * count, ("length",) * count, (None,) * count)
    with torch.no_grad():
        logprobs = policy.logprobs(prompts, completions, temperature).logprobs
    return rows, logprobs.double().sum(dim=1).exp().view(len(prompts), len(rows))


@pytest.mark.parametrize("share", [True, False], ids=["shared", "repeated"])
def test_completions_have_the_distribution_of_the_policy(checkpoint, share, monkeypatch):
    """The chance of each of 21 completions is that of `VLM.logprobs`; at another temperature the test would notice."""
    monkeypatch.setattr("vrft_pl.policy.codec.media_token_ids", all_but_few)
    policy, num_draws, temperature = loaded(checkpoint, shared_prefix=share), 4000, 1.5
    allowed = [policy.end_token_ids[0], *FEW]
    prompts = policy.encode([MIXED[1], MIXED[2]])
    rows, expected = outcomes(policy, prompts, allowed, temperature)
    torch.testing.assert_close(expected.sum(dim=1), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-5)
    wrong = outcomes(policy, prompts, allowed, 1.2)[1]
    got = LocalSampler(10**6).generate(policy, prompts, num_draws, SamplingParams(2, temperature), range(len(prompts)))
    written = [row[keep].tolist() for row, keep in zip(got.ids, got.mask, strict=True)]
    for i in range(2):
        group = written[i * num_draws : (i + 1) * num_draws]
        counts = torch.tensor([group.count(row) for row in rows])
        assert counts.sum() == num_draws
        assert (expected[i] * num_draws).min() > 5
        assert chisquare(counts, expected[i] / expected[i].sum() * num_draws).pvalue > LIKELY
        assert chisquare(counts, wrong[i] / wrong[i].sum() * num_draws).pvalue < LIKELY
        assert chisquare(counts, expected[1 - i] / expected[1 - i].sum() * num_draws).pvalue < LIKELY


def test_rows_are_drawn_from_their_own_softmax():
    num_draws = 20_000
    logits = torch.randn(2, 40, generator=seeded(1))
    levels = torch.rand(2 * num_draws, 1, generator=seeded(), dtype=torch.float64)
    tokens, logprobs = draw(logits.repeat(num_draws, 1), SamplingParams(), levels)
    expected = logits.double().softmax(dim=-1)
    for i, row in enumerate(tokens.view(num_draws, 2).T):
        counts = row.bincount(minlength=40)
        assert chisquare(counts, expected[i] * num_draws).pvalue > LIKELY
        assert chisquare(counts, (logits[i].double() / 1.1).softmax(dim=-1) * num_draws).pvalue < LIKELY
    own = logits.log_softmax(dim=-1).repeat(num_draws, 1).gather(1, tokens[:, None]).squeeze(1)
    torch.testing.assert_close(logprobs, own, rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, math.nextafter(1, 0)], ids=["lowest", "highest"])
def test_a_token_of_probability_zero_is_never_drawn(level):
    """At the extremes of the level the first and the last token that can be drawn are, among 1000 random rows."""
    g = seeded()
    logits = 5 * torch.randn(1000, 300, generator=g)
    impossible = torch.randn(1000, 300, generator=g) > 0.5
    impossible[:, [0, 299]] = True
    impossible[:, 150] = False
    nearly = torch.randn(1000, 300, generator=g) > 1.5
    nearly[:, 150] = False
    logits = logits.masked_fill(nearly, -300.0).masked_fill(impossible, -math.inf)
    probabilities = logits.softmax(dim=-1)
    possible = [row.nonzero().flatten().tolist() for row in probabilities]
    tokens, logprobs = draw(logits, SamplingParams(), torch.full((1000, 1), level, dtype=torch.float64))
    assert tokens.tolist() == [row[0 if level == 0 else -1] for row in possible]
    assert logprobs.isfinite().all()


@pytest.mark.parametrize("params", [SamplingParams(top_k=1), SamplingParams(temperature=0.0)], ids=["top-1", "greedy"])
@pytest.mark.parametrize("level", [0.0, math.nextafter(1, 0)], ids=["lowest", "highest"])
def test_one_possible_token_is_drawn_at_any_level(level, params):
    logits = torch.randn(50, 20, generator=seeded())
    levels = torch.full((50, 1), level, dtype=torch.float64) if params.temperature else None
    assert torch.equal(draw(logits, params, levels)[0], logits.argmax(dim=-1))


@pytest.mark.parametrize("share", [True, False], ids=["shared", "repeated"])
def test_completions_are_written_under_autocast(checkpoint, share):
    """As in a run with `precision: bf16-mixed`. 8 bits of activations move a log-prob by a few hundredths."""
    policy = loaded(checkpoint, shared_prefix=share)
    prompts = policy.encode(MIXED)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = LocalSampler().generate(policy, prompts, 2, SamplingParams(8), range(len(prompts)))
        with torch.no_grad():
            expected = policy.logprobs(prompts, got).logprobs
    assert got.logprobs.dtype == torch.float32
    assert (got.logprobs - expected).abs().mean() < 0.05


@pytest.mark.parametrize("share", [True, False], ids=["shared", "repeated"])
def test_completions_are_written_in_half_precision(checkpoint, share):
    policy = loaded(checkpoint, dtype="bfloat16", shared_prefix=share)
    prompts = policy.encode(MIXED)
    got = LocalSampler().generate(policy, prompts, 2, SamplingParams(8), range(len(prompts)))
    with torch.no_grad():
        expected = policy.logprobs(prompts, got).logprobs
    assert got.logprobs.dtype == torch.float32
    assert (got.logprobs - expected).abs().mean() < 0.05

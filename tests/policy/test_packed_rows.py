import copy
import warnings
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from checkpoints import MIXED, NoiseImage, loaded, sample
from families import distance, gradients, noise_rows, write
from torch.nn.attention.flex_attention import BlockMask, create_mask

from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.packed_rows import PackedRows, fill_rows
from vrft_pl.policy.probes import PICTURED
from vrft_pl.policy.shared_prefix import NOTHING
from vrft_pl.types import Prompt, Prompts

PACKING = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_onevision", "smolvlm", "idefics3", "internvl"]
TEXT_ONLY = (sample("One and two?"), sample("A longer question, with many more words in it, about nothing at all."))
SAME_LENGTH = tuple(sample("How many?", [NoiseImage(48, 48, seed)]) for seed in range(4))
SEVERAL = (MIXED[1], sample("Three?", [NoiseImage(32, 32, seed) for seed in range(3)]), MIXED[1], MIXED[0], MIXED[2])
"""More than one picture a sample; the first and third stand apart when rows are filled."""
RAGGED = (1, 7, 4, 11, 3, 1, 8, 2)
EVERYTHING = 100_000


TWO = pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"], indirect=True, scope="module")
"""One family of each kind of positions, where the others are asked once."""


@pytest.fixture(scope="module", params=PACKING)
def family(request):
    """Every family that can pack, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def policy(family):
    return loaded(family)


def both(policy, samples, most, lengths=RAGGED):
    """Log-probs and gradients, packed and plain."""
    prompts, completions = policy.encode(samples), write(policy, noise_rows(lengths[: len(samples)]))
    results = []
    for forward in (lambda *batch: policy.packed_logprobs(*batch, most), policy.plain_logprobs):
        got = forward(prompts, completions)
        results.append((got, gradients(policy, got.logprobs.square().sum())))
    assert results[0][0].logprobs.shape == completions.ids.shape
    assert not results[0][0].logprobs[~completions.mask].any()
    return results


def assert_same(packed, plain):
    torch.testing.assert_close(packed[0].logprobs, plain[0].logprobs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(packed[0].entropy, plain[0].entropy, rtol=1e-5, atol=1e-6)
    assert distance(packed[1], plain[1]) <= 1e-5


@TWO
@pytest.mark.parametrize(
    ("samples", "most", "lengths"),
    [
        pytest.param(MIXED * 2, EVERYTHING, RAGGED, id="mixed-one-row"),
        pytest.param(MIXED * 2, 320, RAGGED, id="mixed-rows"),
        pytest.param(MIXED, 1, RAGGED, id="mixed-a-row-each"),
        pytest.param(MIXED, EVERYTHING, (1,) * 4, id="single-tokens"),
        pytest.param(SEVERAL, EVERYTHING, RAGGED, id="several-pictures-one-row"),
        pytest.param(TEXT_ONLY * 3, 300, RAGGED, id="text-only"),
        pytest.param(SAME_LENGTH, EVERYTHING, (6,) * 4, id="equal-lengths"),
        pytest.param(MIXED[:1], EVERYTHING, RAGGED, id="one-sample"),
    ],
)
def test_packing_changes_no_logprob_no_entropy_and_no_gradient(policy, samples, most, lengths):
    assert_same(*both(policy, samples, most, lengths))


def test_packing_changes_nothing_in_any_family(policy):
    assert_same(*both(policy, SEVERAL, 400, RAGGED))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"lora": LoRA(rank=2, parts=("language", "vision", "projector"))}, id="lora-everywhere"),
        pytest.param({"freeze": ("vision",)}, id="frozen-vision"),
        pytest.param({"gradient_checkpointing": True}, id="checkpointing"),
    ],
)
@TWO
def test_packing_changes_nothing_whatever_is_trained(family, options):
    policy = loaded(family, **options)
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=g))
    assert_same(*both(policy, SEVERAL, 400))


def soft_cap(model, args, output):
    output.logits = output.logits.tanh()


def test_packing_changes_nothing_where_logits_are_more_than_a_product(qwen3_vl):
    policy, products = loaded(qwen3_vl), both(loaded(qwen3_vl), MIXED * 2, 320)[1]
    policy.hf_model.register_forward_hook(soft_cap)
    packed, plain = both(policy, MIXED * 2, 320)
    assert_same(packed, plain)
    assert (plain[0].logprobs - products[0].logprobs).abs().max() > 1e-3


def test_features_of_a_frozen_tower_stand_in_the_order_of_the_rows(qwen3_vl, smolvlm):
    for family in (qwen3_vl, smolvlm):
        policy = loaded(family, freeze=("vision", "projector"))
        prompts, completions = policy.encode(SEVERAL), write(policy, noise_rows(RAGGED[: len(SEVERAL)]))
        expected = policy.plain_logprobs(prompts, completions).logprobs
        looked = policy.look(prompts)
        assert any(prompt.features is not None for prompt in looked)
        got = policy.packed_logprobs(looked, completions, 400).logprobs
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_in_half_precision_packing_rounds_no_worse_than_the_plain_forward(qwen3_vl):
    policy = loaded(qwen3_vl)
    _, exact = both(policy, MIXED * 2, EVERYTHING)
    with torch.autocast("cpu", torch.bfloat16):
        packed, plain = both(policy, MIXED * 2, EVERYTHING)
    errors = [(got.logprobs - exact[0].logprobs).abs().mean() for got, _ in (packed, plain)]
    assert 0 < errors[1] < 0.1
    assert errors[0] < 1.5 * errors[1]
    assert distance(packed[1], exact[1]) < 1.5 * distance(plain[1], exact[1])


@pytest.mark.parametrize("changed", [sample("Many?", [NoiseImage(48, 48, 9)]), sample("Or what?")])
def test_a_sample_sees_no_other_of_its_row(policy, changed):
    rows = write(policy, noise_rows([4, 6, 5]))
    logprobs = [
        policy.packed_logprobs(policy.encode([MIXED[3], one, MIXED[1]]), rows, EVERYTHING).logprobs
        for one in (MIXED[0], changed)
    ]
    torch.testing.assert_close(logprobs[1][[0, 2]], logprobs[0][[0, 2]], rtol=0, atol=1e-6)
    assert (logprobs[1][1] - logprobs[0][1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("lengths", "most", "rows"),
    [
        pytest.param([3, 9, 4, 2, 5], 8, ((1,), (4, 0), (2, 3)), id="a-long-one-has-its-own-row"),
        pytest.param([2, 2, 2], 6, ((0, 1, 2),), id="exactly-full"),
        pytest.param([2, 2, 2], 5, ((0, 1), (2,)), id="one-token-short"),
        pytest.param([4, 7], 1, ((1,), (0,)), id="all-too-long"),
        pytest.param([5], 8, ((0,),), id="one"),
        pytest.param([3, 3, 3, 3], 9, ((0, 2), (1, 3)), id="no-nearly-empty-row"),
        pytest.param([9, 3, 3, 3, 3], 8, ((0,), (1, 2), (3, 4)), id="none-beside-a-long-one"),
    ],
)
def test_rows_are_filled_by_hand(lengths, most, rows):
    assert fill_rows(lengths, most) == rows


def test_rows_hold_each_sample_once_and_no_more_than_they_may():
    g = torch.Generator().manual_seed(0)
    for most in (1, 50, 64, 1000):
        lengths = torch.randint(1, 60, (40,), generator=g).tolist()
        rows = fill_rows(lengths, most)
        assert sorted(i for row in rows for i in row) == list(range(40))
        assert all(sum(lengths[i] for i in row) <= most or len(row) == 1 for row in rows)
        assert len(rows) <= 2 * -(-sum(lengths) // most) or most < max(lengths)


def layout():
    """Prompts of two, three and one tokens; completions of two, one and three: fed are three, three and three."""
    prompts = Prompts(tuple(Prompt({"input_ids": torch.zeros(1, n, dtype=torch.long)}) for n in (2, 3, 1)))
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]]).bool()
    return PackedRows.of(prompts, mask, 7), mask


def test_rows_by_hand():
    rows, mask = layout()
    assert (rows.rows, rows.lengths, rows.num_tokens) == (((0, 1), (2,)), (3, 3, 3), 6)
    assert rows.segments == [[3, 3], [3, 3]]
    assert rows.owners.tolist() == [[0, 0, 0, 1, 1, 1], [2, 2, 2, NOTHING, NOTHING, NOTHING]]
    row, column = rows.predictors(mask)
    assert row.tolist() == [0, 0, 0, 1, 1, 1]
    assert column.tolist() == [1, 2, 5, 0, 1, 2]


def test_values_are_packed_by_hand():
    rows, _ = layout()
    fed = torch.tensor([[0, 1, 1, 1, 0], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]]).bool()
    value = torch.arange(15).view(3, 5)
    expected = [[1, 2, 3, 5, 6, 7], [12, 13, 14, -1, -1, -1]]
    assert rows.pack(value, fed, -1).tolist() == expected
    assert rows.pack(torch.stack([value, value + 20]), fed, -1)[1, 0].tolist() == [21, 22, 23, 25, 26, 27]


def test_samples_stand_in_rows_longest_first_and_their_completions_are_found_again():
    prompts = Prompts(tuple(Prompt({"input_ids": torch.zeros(1, n, dtype=torch.long)}) for n in (1, 4, 2)))
    rows = PackedRows.of(prompts, torch.tensor([[1, 1], [1, 1], [1, 0]]).bool(), 7)
    assert (rows.rows, rows.order, rows.segments) == (((1,), (0, 2)), [1, 0, 2], [[5], [2, 2, 1]])
    row, column = rows.predictors(torch.tensor([[1, 1], [1, 1], [1, 0]]).bool())
    assert row.tolist() == [1, 1, 0, 0, 1]
    assert column.tolist() == [0, 1, 3, 4, 3]


def test_each_token_is_fed_at_the_position_it_has_alone(qwen3_vl):
    policy, seen = loaded(qwen3_vl), []
    policy.hf_model.register_forward_pre_hook(lambda _, args, inputs: seen.append(inputs), with_kwargs=True)
    prompts, completions = policy.encode(SEVERAL), write(policy, noise_rows(RAGGED[: len(SEVERAL)]))
    policy.packed_logprobs(prompts, completions, EVERYTHING)
    owners = PackedRows.of(prompts, completions.mask, EVERYTHING).owners
    for i, prompt in enumerate(prompts):
        _, alone = policy.batch(prompts[i : i + 1])
        mine = seen[0]["position_ids"][..., owners == i]
        assert mine[..., : prompt.num_tokens].equal(alone[..., 0, :])
        steps = mine[..., prompt.num_tokens :] - alone[..., 0, -1:]
        assert steps.equal(torch.arange(1, RAGGED[i]).expand_as(steps))
        ids = [*prompt.inputs["input_ids"][0].tolist(), *completions.ids[i, : RAGGED[i] - 1].tolist()]
        assert seen[0]["input_ids"][owners == i].tolist() == ids


def seen_by_hand(rows):
    """Which tokens see which: those of the same sample, no later ones."""
    owners = rows.owners
    width = rows.num_tokens
    seen = torch.zeros(len(owners), 1, width, width, dtype=torch.bool)
    for r in range(len(owners)):
        for q in range(width):
            for k in range(q + 1):
                seen[r, 0, q, k] = owners[r, q] == owners[r, k]
    return seen


def random_layout(most):
    prompts = Prompts(tuple(Prompt({"input_ids": torch.zeros(1, n, dtype=torch.long)}) for n in (5, 2, 9, 1, 4)))
    return PackedRows.of(prompts, torch.arange(6) < torch.tensor([[2], [6], [1], [1], [3]]), most)


@pytest.mark.parametrize("most", [1, 12, 100])
def test_the_block_mask_is_written_token_by_token(most):
    rows = random_layout(most)
    mask = rows.block_mask()
    assert isinstance(mask, BlockMask)
    shape = len(rows.rows), None, rows.num_tokens, rows.num_tokens
    assert create_mask(mask.mask_mod, *shape, device="cpu").equal(seen_by_hand(rows))


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("most", [1, 12, 100])
def test_attention_by_layout_is_sdpa_under_the_dense_mask(most, scale):
    rows = random_layout(most)
    g = torch.Generator().manual_seed(0)
    shapes = [(len(rows.rows), heads, rows.num_tokens, 8) for heads in (6, 2, 2)]
    inputs = [torch.randn(shape, generator=g).requires_grad_() for shape in shapes]
    weight = torch.randn(shapes[0], generator=g)
    got = rows.attend(0, *inputs, scale, 0.0)
    expected = F.scaled_dot_product_attention(*inputs, attn_mask=seen_by_hand(rows), scale=scale, enable_gqa=True)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    got, expected = (torch.autograd.grad((out * weight).sum(), inputs) for out in (got, expected))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_flex_attention_gets_a_block_mask(internvl):
    rows = random_layout(12)
    assert isinstance(loaded(internvl, attention="flex_attention").group_mask(rows), BlockMask)
    assert loaded(internvl).group_mask(rows).attention_layout is rows


def warned(record):
    return [str(warning.message) for warning in record if "can't pack" in str(warning.message)]


def ask(policy, times=2):
    """What the policy says of packing, and what it warns of."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        said = {policy.may("packing") for _ in range(times)}
    return said, warned(record)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_that_can_pack_says_so_without_a_word(family, dtype):
    assert ask(loaded(family, dtype=dtype)) == ({True}, [])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("family", "architecture", "reason"),
    [
        ("gemma3", "Gemma3", "it has layers of sliding_attention"),
        ("llava_window", "LlavaOnevision", "it has a sliding window of 80 tokens"),
        ("paligemma", "PaliGemma", "log-probs differ from those of the plain forward by"),
    ],
)
def test_a_model_that_can_not_pack_says_why_once(family, architecture, reason, request):
    said, (message,) = ask(loaded(request.getfixturevalue(family), shared_prefix=False))
    assert said == {False}
    assert message.startswith(f"{architecture}ForConditionalGeneration can't pack several samples into a row: {reason}")
    assert "Leaving out `pack_tokens`" in message


def test_another_attention_can_not_pack(qwen3_vl):
    _, (message,) = ask(loaded(qwen3_vl, attention="eager", shared_prefix=False))
    assert "its attention is `eager`, not `sdpa` or `flex_attention`" in message


def test_nobody_is_told_of_packing_who_does_not_ask(gemma3):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        loaded(gemma3, shared_prefix=False)
    assert not warned(record)


def attend_as_one_text(self, layer, query, key, value, scale, dropout):
    """What a model does that hears of no layout: each sample sees those before it."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=True)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attention_that_ignores_the_layout_is_caught_by_the_comparison(qwen2_vl, dtype, monkeypatch):
    monkeypatch.setattr(PackedRows, "attend", attend_as_one_text)
    said, (message,) = ask(loaded(qwen2_vl, dtype=dtype))
    assert said == {False}
    assert "log-probs differ from those of the plain forward by" in message


def test_attention_that_is_no_number_is_caught_by_the_comparison(qwen2_vl, monkeypatch):
    monkeypatch.setattr(PackedRows, "attend", lambda self, layer, query, *_: query * float("nan"))
    assert ask(loaded(qwen2_vl))[0] == {False}


def test_the_comparison_packs_different_pictures_into_one_row(qwen3_vl, monkeypatch):
    calls = []
    policy = loaded(qwen3_vl)
    forward = policy.packed_logprobs
    monkeypatch.setattr(policy, "packed_logprobs", lambda *args: calls.append(args) or forward(*args))
    assert policy.may("packing")
    ((prompts, completions, most),) = calls
    assert len(PackedRows.of(prompts, completions.mask, most).rows) == 1
    assert len({prompt.num_tokens for prompt in prompts}) == len(PICTURED) == 2
    values = [prompt.inputs["pixel_values"] for prompt in prompts]
    assert not torch.equal(values[0].flatten()[:64], values[2].flatten()[:64])


def test_the_comparison_leaves_mode_gradients_and_random_numbers_as_they_were(qwen2_vl):
    policy = loaded(qwen2_vl)
    policy.hf_model.get_encoder(modality="image").eval()
    modes, before = [module.training for module in policy.modules()], torch.get_rng_state()
    policy.may("packing")
    assert [module.training for module in policy.modules()] == modes
    assert len(set(modes)) == 2
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_copies_share_what_one_of_them_found(qwen2_vl, monkeypatch):
    policy = loaded(qwen2_vl)
    twin, calls = copy.deepcopy(policy), []
    forward = VLM.packed_logprobs
    monkeypatch.setattr(VLM, "packed_logprobs", lambda *args: calls.append(0) or forward(*args))
    assert twin.may("packing")
    assert policy.may("packing")
    assert len(calls) == 1


def test_the_order_of_the_batch_changes_nothing(qwen3_vl):
    policy = loaded(qwen3_vl)
    prompts, completions = policy.encode(SEVERAL), write(policy, noise_rows(RAGGED[: len(SEVERAL)]))
    order = [3, 1, 4, 0, 2]
    shuffled = replace(completions, ids=completions.ids[order], mask=completions.mask[order])
    expected = policy.packed_logprobs(prompts, completions, 400).logprobs
    got = policy.packed_logprobs(prompts.select(order), shuffled, 400).logprobs
    torch.testing.assert_close(got, expected[order], rtol=1e-5, atol=1e-6)

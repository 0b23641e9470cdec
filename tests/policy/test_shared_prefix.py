import pytest
import torch
import torch.nn.functional as F
from checkpoints import MIXED, NoiseImage, loaded, sample
from families import distance, gradients, noise_rows, write
from precision import assert_apart_by_rounding, in_double
from torch.nn.attention.flex_attention import BlockMask, create_mask

from vrft_pl.policy import LoRA
from vrft_pl.policy.shared_prefix import NOTHING, PROMPT, GroupRows

SHARING = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_onevision", "smolvlm", "idefics3", "internvl"]
TEXT_ONLY = (sample("One and two?"), sample("A longer question, with many more words in it, about nothing at all."))
SAME_LENGTH = tuple(sample("How many?", [NoiseImage(48, 48, seed)]) for seed in range(2))
RAGGED, EQUAL, SINGLE = (1, 7, 4, 11, 3, 1, 8, 2, 9, 5, 1, 6), (6,) * 12, (1,) * 12


TWO = pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"], indirect=True, scope="module")
"""One family of each kind of positions, where the others are asked once."""


@pytest.fixture(scope="module", params=SHARING)
def family(request):
    """Every family that can share a prompt, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def policy(family):
    return loaded(family)


def both(policy, samples, group_size, lengths, temperature=1.0):
    """Log-probs and gradients, shared and plain."""
    prompts, completions = policy.encode(samples), write(policy, noise_rows(lengths[: len(samples) * group_size]))
    results = []
    for forward in (policy.shared_logprobs, policy.plain_logprobs):
        got = forward(prompts, completions, temperature)
        results.append((got, gradients(policy, got.logprobs.square().sum())))
    assert not results[0][0].logprobs[~completions.mask].any()
    return results


def assert_same(shared, plain):
    torch.testing.assert_close(shared[0].logprobs, plain[0].logprobs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shared[0].entropy, plain[0].entropy, rtol=1e-5, atol=1e-6)
    assert distance(shared[1], plain[1]) <= 1e-5


def shake(policy):
    """Move every trainable parameter, adapters included."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=g))


@TWO
@pytest.mark.parametrize(
    ("samples", "group_size", "lengths"),
    [
        pytest.param(MIXED, 1, RAGGED, id="mixed-1-ragged"),
        pytest.param(MIXED, 2, EQUAL, id="mixed-2-equal"),
        pytest.param(MIXED, 2, SINGLE, id="mixed-2-single-tokens"),
        pytest.param(TEXT_ONLY, 2, RAGGED, id="text-only-2-ragged"),
        pytest.param(TEXT_ONLY, 3, EQUAL, id="text-only-3-equal"),
        pytest.param(MIXED[:1], 2, EQUAL, id="one-prompt-2-equal"),
        pytest.param(MIXED[:1], 3, RAGGED, id="one-prompt-3-ragged"),
        pytest.param(MIXED[1:2], 3, SINGLE, id="two-pictures-3-single-tokens"),
        pytest.param(SAME_LENGTH, 2, EQUAL, id="no-padding-2-equal"),
        pytest.param(SAME_LENGTH, 3, RAGGED, id="no-padding-3-ragged"),
    ],
)
def test_a_shared_prompt_changes_no_logprob_no_entropy_and_no_gradient(policy, samples, group_size, lengths):
    assert_same(*both(policy, samples, group_size, lengths))


def test_a_shared_prompt_changes_nothing_in_any_family(policy):
    assert_same(*both(policy, MIXED, 3, RAGGED))


@TWO
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"lora": LoRA(rank=2)}, id="lora"),
        pytest.param({"lora": LoRA(rank=2, parts=("language", "vision", "projector"))}, id="lora-everywhere"),
        pytest.param({"freeze": ("vision",)}, id="frozen-vision"),
        pytest.param({"gradient_checkpointing": True}, id="checkpointing"),
        pytest.param({"gradient_checkpointing": True, "lora": LoRA(rank=2)}, id="checkpointing-lora"),
    ],
)
def test_a_shared_prompt_changes_nothing_whatever_is_trained(family, options):
    policy = loaded(family, **options)
    shake(policy)
    shared, plain = both(policy, MIXED, 3, RAGGED)
    assert_same(shared, plain)
    trained = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert {name for name, gradient in shared[1].items() if gradient.any()} <= trained


@TWO
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_shared_prompt_changes_nothing_at_any_temperature(policy, temperature):
    assert_same(*both(policy, MIXED, 2, RAGGED, temperature))


def test_gradient_checkpointing_finds_the_layout_again(family):
    results = []
    for switch in (False, True):
        policy = loaded(family, gradient_checkpointing=switch)
        assert any(getattr(m, "gradient_checkpointing", False) for m in policy.modules()) == switch
        results.append(both(policy, MIXED, 2, RAGGED)[0])
    assert_same(results[1], results[0])


def test_in_half_precision_sharing_rounds_no_worse_than_the_plain_forward(policy):
    """The two forwards round different sums, so each is held against float32: rounding there is the unit."""
    _, exact = both(policy, MIXED, 3, RAGGED)
    with torch.autocast("cpu", torch.bfloat16):
        shared, plain = both(policy, MIXED, 3, RAGGED)
    errors = [(got.logprobs - exact[0].logprobs).abs().mean() for got, _ in (shared, plain)]
    assert 0 < errors[1] < 0.1
    assert errors[0] < 1.5 * errors[1]
    assert (shared[0].logprobs - plain[0].logprobs).abs().mean() < 1.5 * errors[1]
    assert distance(shared[1], exact[1]) < 1.5 * distance(plain[1], exact[1])


def test_a_completion_does_not_see_another_of_its_group(policy):
    prompts = policy.encode(MIXED[:2])
    first, other, longer, second, third = noise_rows([6, 6, 9, 5, 4])
    logprobs = [
        policy.shared_logprobs(prompts, write(policy, [row, second, third, row])).logprobs
        for row in (first, other, longer)
    ]
    exact = in_double(policy).shared_logprobs(prompts, write(policy, [first, second, third, first])).logprobs
    for changed in logprobs[1:]:
        assert_apart_by_rounding(changed[1, :5], logprobs[0][1, :5], exact[1, :5])
        assert_apart_by_rounding(changed[2, :4], logprobs[0][2, :4], exact[2, :4])
        assert (changed[[0, 3], :6] - logprobs[0][[0, 3], :6]).abs().max() > 1e-2


def test_a_completion_sees_every_picture_of_its_prompt_and_no_other(policy):
    images = [NoiseImage(48, 48, seed) for seed in range(3)]
    rows = noise_rows([4, 3] * 2)
    logprobs = []
    for pair in ((2, 1), (0, 2), (0, 1)):
        prompts = policy.encode([sample("?", [images[i] for i in pair]), sample("?", [images[0]])])
        logprobs.insert(0, policy.shared_logprobs(prompts, write(policy, rows)).logprobs)
    exact = in_double(policy).shared_logprobs(prompts, write(policy, rows)).logprobs
    for changed in logprobs[1:]:
        assert (changed[:2] - logprobs[0][:2]).abs().amax(dim=1).min() > 1e-4
        assert_apart_by_rounding(changed[2:], logprobs[0][2:], exact[2:])


@pytest.mark.parametrize("name", [*SHARING, "gemma3"])
def test_plain_logprobs_of_a_batch_equal_the_transformers_model_on_one_unpadded_row(name, request):
    policy = loaded(request.getfixturevalue(name), shared_prefix=False)
    prompts, rows = policy.encode(MIXED), noise_rows(RAGGED[: 2 * len(MIXED)])
    got = policy.plain_logprobs(prompts, write(policy, rows)).logprobs
    for i, row in enumerate(rows):
        inputs = dict(prompts.items[i // 2].inputs)
        shape, ids = inputs["input_ids"].shape, torch.tensor([row])
        for key, value in inputs.items():
            if value.shape == shape:
                tail = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}.get(key, torch.zeros_like(ids))
                inputs[key] = torch.cat([value, tail], dim=1)
        logits = policy.hf_model(**inputs).logits[:, shape[1] - 1 : -1].float()
        logits[..., list(policy.banned_token_ids)] = float("-inf")
        expected = logits.log_softmax(-1).gather(-1, ids[..., None])[0, :, 0]
        torch.testing.assert_close(got[i, : len(row)], expected, rtol=1e-5, atol=1e-5)


PROMPTS_BY_HAND = torch.tensor([[0, 1, 1], [1, 1, 1]])
MASK_BY_HAND = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0]]).bool()
"""Completions of three and two tokens, of two and one: fed are two and one, one and none."""


def test_rows_by_hand():
    rows = GroupRows.of(PROMPTS_BY_HAND, MASK_BY_HAND)
    assert rows.shape == (2, 2, 2)
    assert (rows.num_prompt_tokens, rows.num_columns, rows.padded, rows.ragged) == (3, 3, True, True)
    ids = torch.tensor([[10, 11, 12], [20, 21, 0], [30, 31, 0], [40, 0, 0]])
    assert rows.pack(ids).tolist() == [[10, 11, 20], [30, 0, 0]]
    row, column = rows.predictors(MASK_BY_HAND)
    assert row.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert column.tolist() == [0, 1, 2, 0, 3, 0, 1, 0]


def test_the_column_that_predicts_a_token_holds_the_token_before_it():
    rows = GroupRows.of(PROMPTS_BY_HAND, MASK_BY_HAND)
    ids = torch.tensor([[10, 11, 12], [20, 21, 0], [30, 31, 0], [40, 0, 0]])
    seen = torch.cat([torch.tensor([[1], [2]]), rows.pack(ids)], dim=1)
    assert seen[rows.predictors(MASK_BY_HAND)].tolist() == [1, 10, 11, 1, 20, 2, 30, 2]


def test_positions_by_hand():
    rows = GroupRows.of(PROMPTS_BY_HAND, MASK_BY_HAND)
    text = torch.tensor([[0, 0, 1], [0, 1, 2]])
    assert rows.positions(text)[:, :3].equal(text)
    assert rows.positions(text)[0, 3:].tolist() == [2, 3, 2]
    assert rows.positions(text)[1, 3].item() == 3
    axes = torch.stack([text, 10 * text, text + 5])
    assert rows.positions(axes).shape == (3, 2, 6)
    assert rows.positions(axes)[:, 0, 3:].tolist() == [[2, 3, 2], [11, 12, 11], [7, 8, 7]]


def test_owners_by_hand():
    rows = GroupRows.of(PROMPTS_BY_HAND, MASK_BY_HAND)
    assert rows.owners().tolist() == [
        [NOTHING, PROMPT, PROMPT, 0, 0, 1],
        [PROMPT, PROMPT, PROMPT, 0, NOTHING, NOTHING],
    ]


def test_the_block_mask_by_hand():
    got = dense(GroupRows.of(PROMPTS_BY_HAND, MASK_BY_HAND).block_mask())[0, 0, 1:]
    written = ["01....", "011...", "0111..", "01111.", "011001"]
    expected = torch.tensor([[mark in "1" for mark in line] for line in written])
    assert got.equal(expected)


def layout(padded, group_size, lengths, num_prompts=3, width=5):
    """Rows of prompts with as much padding as their number, or none."""
    lengths = torch.tensor(lengths[: num_prompts * group_size])
    padding = torch.arange(num_prompts) if padded else torch.zeros(num_prompts)
    prompt_mask = torch.arange(width) >= padding[:, None]
    return GroupRows.of(prompt_mask, torch.arange(int(lengths.max())) < lengths[:, None]), lengths.view(num_prompts, -1)


def who_sees_whom(rows, lengths):
    """Which tokens of each row are real, and the mask of its real tokens, token by token; padding sees itself."""
    width = rows.num_prompt_tokens
    seen = torch.eye(width + rows.num_columns, dtype=torch.bool).repeat(len(lengths), 1, 1)
    real = torch.zeros(seen.shape[:2], dtype=torch.bool)
    for p, group in enumerate(lengths.tolist()):
        prompt = [i for i in range(width) if rows.prompt_mask[p, i]]
        starts = [width + sum(n - 1 for n in group[:g]) for g in range(len(group))]
        alone = [[*prompt, *range(start, start + n - 1)] for start, n in zip(starts, group, strict=True)]
        for line in alone:
            real[p, line] = True
            for i, query in enumerate(line):
                seen[p, query, line[: i + 1]] = True
    return real, seen[:, None]


def dense(mask):
    rows, _, queries, keys = mask.shape
    return create_mask(mask.mask_mod, rows, None, queries, keys, device="cpu")


LAYOUTS = pytest.mark.parametrize(
    ("padded", "group_size", "lengths"),
    [
        pytest.param(padded, group_size, lengths, id=f"{'padded' if padded else 'unpadded'}-{group_size}-{name}")
        for padded in (False, True)
        for group_size in (1, 3)
        for name, lengths in (("ragged", RAGGED), ("equal", EQUAL), ("single-tokens", SINGLE))
    ],
)


@LAYOUTS
def test_the_block_mask_is_written_token_by_token(padded, group_size, lengths):
    rows, lengths = layout(padded, group_size, lengths)
    real, seen = who_sees_whom(rows, lengths)
    mask = rows.block_mask()
    assert isinstance(mask, BlockMask)
    got = dense(mask)
    assert got.shape == seen.shape
    assert got.any(dim=-1).all()
    assert got[:, 0][real].equal(seen[:, 0][real])


@LAYOUTS
@pytest.mark.parametrize("scale", [None, 0.7])
def test_attention_by_layout_is_sdpa_under_the_dense_mask(padded, group_size, lengths, scale):
    rows, lengths = layout(padded, group_size, lengths)
    real, seen = who_sees_whom(rows, lengths)
    assert (rows.padded, rows.ragged) == (padded, len(set(lengths.flatten().tolist())) > 1)
    g = torch.Generator().manual_seed(0)
    heads, key_heads, num_tokens = 6, 2, seen.shape[-1]
    shapes = [(len(lengths), n, num_tokens, 8) for n in (heads, key_heads, key_heads)]
    inputs = [torch.randn(shape, generator=g).requires_grad_() for shape in shapes]
    weight = torch.randn(shapes[0], generator=g) * real[:, None, :, None]
    got = rows.attend(0, *inputs, scale, 0.0)
    expected = F.scaled_dot_product_attention(*inputs, attn_mask=seen, scale=scale, enable_gqa=True)
    assert got.shape == expected.shape
    torch.testing.assert_close(got.transpose(1, 2)[real], expected.transpose(1, 2)[real], rtol=1e-5, atol=1e-6)
    got, expected = (torch.autograd.grad((out * weight).sum(), inputs) for out in (got, expected))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_the_mask_that_carries_the_layout_takes_no_memory():
    rows, _ = layout(True, 3, RAGGED)
    mask = rows.layout_mask()
    assert mask.attention_layout is rows
    assert mask.shape == (3, 1, 5 + rows.num_columns, 5 + rows.num_columns)
    assert mask.untyped_storage().nbytes() == 1


def test_flex_attention_gets_a_block_mask(internvl):
    rows, _ = layout(True, 2, RAGGED)
    assert isinstance(loaded(internvl, attention="flex_attention").group_mask(rows), BlockMask)
    assert loaded(internvl).group_mask(rows).attention_layout is rows


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
@pytest.mark.parametrize("samples", [SAME_LENGTH, SAME_LENGTH[:1]], ids=["same-length", "one-prompt"])
def test_single_weights_under_half_autocast_need_no_padding(family, samples, request):
    policy = loaded(request.getfixturevalue(family))
    prompts = policy.encode(samples)
    completions = write(policy, noise_rows([4, 6] * len(samples)))
    expected = policy.plain_logprobs(prompts, completions).logprobs
    with torch.autocast("cpu", torch.bfloat16):
        got = policy.shared_logprobs(prompts, completions).logprobs
    # half precision rounds to 3 digits, and these log-probs are about 5
    assert (got - expected).abs().mean() < 0.05
    got.sum().backward()

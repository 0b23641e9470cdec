import shutil

import pytest
import torch
import torch.nn.functional as F
from checkpoints import END_OF_TURN, EOS, HALT, IMAGE, MIXED, PAD, SPECIAL, VIDEO, NoiseImage, loaded, sample
from families import gradients, write
from transformers import AutoConfig, GenerationConfig

from vrft_pl.answers import Box
from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.logprobs import CHUNK_BYTES
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import InputError, Prompts, Sample

TEXT_ONLY = [sample("One and two?"), sample("A longer question, with many more words in it, about nothing at all.")]


def noise_rows(num_rows, seed=0):
    """Random bytes of random lengths."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (num_rows,), generator=g).tolist()
    return [torch.randint(len(SPECIAL), len(SPECIAL) + 256, (n,), generator=g).tolist() for n in lengths]


def assert_same_gradients(got, expected):
    """Equal to 1e-5 of the whole gradient, so that parameters with hardly any are not compared by their rounding."""
    whole = torch.cat([g.flatten() for g in expected.values()]).norm()
    assert whole > 0.1
    for name in expected:
        assert (got[name] - expected[name]).norm() <= 1e-5 * whole, name


def plain_logprobs(policy, prompt, ids):
    """Log-probs from the transformers model itself, on prompt and completion side by side, without any padding."""
    inputs = dict(prompt.inputs)
    width = inputs["input_ids"].shape[1]
    row = torch.tensor([ids])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], row], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(row)], dim=1)
    logits = policy.hf_model(**inputs).logits[:, width - 1 : -1].float()
    logits[..., list(policy.banned_token_ids)] = float("-inf")
    return logits.log_softmax(-1).gather(-1, row[..., None])[0, :, 0]


@pytest.mark.parametrize("group_size", [1, 2])
@pytest.mark.parametrize("samples", [pytest.param(MIXED, id="mixed"), pytest.param(TEXT_ONLY, id="text-only")])
def test_a_batch_of_prompts_equals_batches_of_one_prompt(checkpoint, samples, group_size):
    policy = loaded(checkpoint)
    prompts = policy.encode(samples)
    rows = noise_rows(len(samples) * group_size)
    together = policy.logprobs(prompts, write(policy, rows), temperature=0.8)
    got = gradients(policy, together.logprobs.square().sum())
    apart = [
        policy.logprobs(prompts[i : i + 1], write(policy, rows[i * group_size : (i + 1) * group_size]), temperature=0.8)
        for i in range(len(samples))
    ]
    expected = gradients(policy, sum(part.logprobs.square().sum() for part in apart))
    for i, part in enumerate(apart):
        block, width = slice(i * group_size, (i + 1) * group_size), part.logprobs.shape[1]
        torch.testing.assert_close(together.logprobs[block, :width], part.logprobs, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(together.entropy[block, :width], part.entropy, rtol=1e-5, atol=1e-5)
        assert not together.logprobs[block, width:].any()
    assert_same_gradients(got, expected)


def test_left_padded_logprobs_equal_the_plain_unpadded_forward(checkpoint, samples):
    policy = loaded(checkpoint)
    prompts = policy.encode(samples)
    rows = noise_rows(len(samples))
    got = policy.logprobs(prompts, write(policy, rows)).logprobs
    got_gradients = gradients(policy, got.square().sum())
    expected = [plain_logprobs(policy, prompt, row) for prompt, row in zip(prompts, rows, strict=True)]
    for i, row in enumerate(rows):
        torch.testing.assert_close(got[i, : len(row)], expected[i], rtol=1e-5, atol=1e-6)
    assert_same_gradients(got_gradients, gradients(policy, sum(e.square().sum() for e in expected)))


@pytest.mark.parametrize("family", ["qwen2_5_vl"])
def test_other_families_equal_batches_of_one_prompt(family, samples, request):
    policy = loaded(request.getfixturevalue(family))
    prompts = policy.encode(samples)
    rows = noise_rows(len(samples))
    got = policy.logprobs(prompts, write(policy, rows)).logprobs
    for i, row in enumerate(rows):
        alone = policy.logprobs(prompts[i : i + 1], write(policy, [row])).logprobs
        torch.testing.assert_close(got[i : i + 1, : len(row)], alone, rtol=1e-5, atol=1e-5)


def test_the_amount_of_padding_never_changes_a_logprob(checkpoint):
    policy = loaded(checkpoint)
    short, long = sample("How many?", [NoiseImage(48, 48)]), sample("Very long. " * 40)
    rows = noise_rows(2)
    alone = policy.logprobs(policy.encode([short]), write(policy, rows[:1])).logprobs
    prompts = policy.encode([short, long])
    assert prompts.items[1].num_tokens > prompts.items[0].num_tokens + 400
    beside = policy.logprobs(prompts, write(policy, [rows[0], rows[1] * 9])).logprobs[:1, : len(rows[0])]
    torch.testing.assert_close(beside, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("group_size", [1, 3])
def test_logits_are_computed_at_completion_tokens_only(checkpoint, samples, group_size, monkeypatch):
    """In chunks: the output layer itself is called for one token."""
    policy = loaded(checkpoint)
    head, rows = policy.hf_model.get_output_embeddings(), noise_rows(len(samples) * group_size)
    prompts, completions = policy.encode(samples), write(policy, rows)
    expected = policy.logprobs(prompts, completions).logprobs
    own, linear, products = [], F.linear, []

    def spy(value, weight, bias=None):
        if weight is head.weight:
            products.append(value.shape[:-1].numel())
        return linear(value, weight, bias)

    head.register_forward_hook(lambda _, args, output: own.append(output.shape))
    monkeypatch.setattr(F, "linear", spy)
    monkeypatch.setitem(CHUNK_BYTES, "cpu", 4 * head.out_features * 7)
    got = policy.logprobs(prompts, completions).logprobs
    assert own == [(1, 1, head.out_features)]
    assert sum(products) == 1 + sum(map(len, rows))
    assert max(products) == 7
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_completions_of_one_prompt_stand_beside_each_other(checkpoint, samples):
    policy = loaded(checkpoint)
    prompts = policy.encode(samples[:2])
    a, b = noise_rows(2)
    got = policy.logprobs(prompts, write(policy, [a, b, a, b])).logprobs
    for i, (prompt, row) in enumerate([(0, a), (0, b), (1, a), (1, b)]):
        alone = policy.logprobs(prompts[prompt : prompt + 1], write(policy, [row])).logprobs[0]
        torch.testing.assert_close(got[i, : len(row)], alone, rtol=1e-5, atol=1e-6)


def test_every_picture_matters(checkpoint):
    policy = loaded(checkpoint)
    images = [NoiseImage(48, 48, seed) for seed in range(3)]
    prompts = policy.encode([sample("?", [images[0], images[i]]) for i in (1, 2)] + [sample("?", images[2:0:-1])])
    row = noise_rows(1)[0]
    got = policy.logprobs(prompts, write(policy, [row] * 3)).logprobs
    assert (got[0] - got[1]).abs().max() > 1e-4
    assert (got[0] - got[2]).abs().max() > 1e-4


def test_every_key_of_the_processor_is_kept(checkpoint, samples):
    prompts = loaded(checkpoint).encode(samples)
    text = {"input_ids", "attention_mask", "mm_token_type_ids"}
    for prompt, one in zip(prompts, samples, strict=True):
        assert set(prompt.inputs) == (text | {"pixel_values", "image_grid_thw"} if one.images else text)
        assert len(prompt.inputs.get("image_grid_thw", ())) == len(one.images)
        assert prompt.inputs["input_ids"].shape == (1, prompt.num_tokens)


def test_a_prompt_without_a_picture_has_no_frame(qwen3_vl, samples):
    prompts = loaded(qwen3_vl).encode(samples)
    assert [prompt.frame is None for prompt in prompts] == [not one.images for one in samples]
    assert (prompts.items[3].frame.width, prompts.items[3].frame.height) == (96, 64)


def test_the_frame_knows_the_size_after_the_processors_resize(qwen3_vl):
    policy = loaded(qwen3_vl, coordinates="resized_pixels")
    prompt = policy.encode([sample("?", [NoiseImage(200, 100)])]).items[0]
    grid = prompt.inputs["image_grid_thw"][0]
    assert (int(grid[2]) * 8, int(grid[1]) * 8) == (128, 64)
    assert prompt.frame.to_pixels((0, 0, 128, 64)) == (0, 0, 200, 100)


def test_a_system_prompt_is_written(qwen3_vl):
    policy = loaded(qwen3_vl)
    with_system, without = policy.encode([sample("Count.", system="Be brief."), sample("Count.")])
    assert "system\nBe brief.<|im_end|>" in policy.codec.tokenizer.decode(with_system.inputs["input_ids"][0])
    assert "system" not in policy.codec.tokenizer.decode(without.inputs["input_ids"][0])


def test_media_tokens_are_banned(checkpoint):
    names = (IMAGE, VIDEO, "<|vision_start|>", "<|vision_end|>")
    assert loaded(checkpoint).banned_token_ids == tuple(SPECIAL.index(name) for name in names)


def test_media_tokens_have_probability_zero(checkpoint):
    policy = loaded(checkpoint)
    got = policy.scale(torch.zeros(1, 265), 0.7).softmax(-1)[0]
    assert (got == 0).nonzero().flatten().tolist() == list(policy.banned_token_ids)


def test_probabilities_of_all_allowed_tokens_sum_to_one(checkpoint):
    policy = loaded(checkpoint)
    allowed = [i for i in range(265) if i not in policy.banned_token_ids]
    got = policy.logprobs(policy.encode([sample()]), write(policy, [[i] for i in allowed]), temperature=0.5)
    assert got.logprobs.exp().sum().item() == pytest.approx(1, abs=1e-5)
    by_hand = -(got.logprobs.exp() * got.logprobs).sum()
    torch.testing.assert_close(got.entropy[:, 0], by_hand.expand(len(allowed)), rtol=1e-5, atol=1e-5)


def test_temperature_divides_the_logits(checkpoint):
    policy = loaded(checkpoint)
    prompts, completions = policy.encode([sample()]), write(policy, [[20], [30]])
    one, half = (policy.logprobs(prompts, completions, t).logprobs[:, 0] for t in (1.0, 0.5))
    torch.testing.assert_close(half[0] - half[1], 2 * (one[0] - one[1]), rtol=1e-4, atol=1e-5)


def test_log_probs_and_entropy_have_a_gradient_and_single_precision(qwen3_vl):
    policy = loaded(qwen3_vl)
    got = policy.logprobs(policy.encode([sample()]), write(policy, [[20]]))
    assert got.logprobs.requires_grad
    assert got.entropy.requires_grad
    assert got.logprobs.dtype == got.entropy.dtype == torch.float32


def test_end_tokens_are_those_of_config_tokenizer_and_template(checkpoint):
    assert set(loaded(checkpoint).end_token_ids) == {SPECIAL.index(t) for t in (HALT, PAD, EOS, END_OF_TURN)}


def test_a_single_end_token_in_the_generation_config_is_read(qwen3_vl, tmp_path):
    folder = shutil.copytree(qwen3_vl, tmp_path / "single")
    GenerationConfig(eos_token_id=SPECIAL.index(HALT)).save_pretrained(folder)
    policy = VLM(str(folder))
    assert set(policy.end_token_ids) == {SPECIAL.index(t) for t in (HALT, EOS, END_OF_TURN)}


def test_targets_are_the_answer_and_the_end_of_the_turn(checkpoint):
    policy = loaded(checkpoint)
    samples = [sample(number=12.0), sample(number=3.0, style="think", cot="1 and 2")]
    targets = policy.encode_targets(samples, policy.encode(samples))
    texts = ["12", "<think>1 and 2</think><answer>3</answer>"]
    written = [policy.codec.tokenizer.decode(row[keep]) for row, keep in zip(targets.ids, targets.mask, strict=True)]
    assert written == [text + END_OF_TURN for text in texts]
    assert list(targets.texts) == texts
    assert targets.finish_reasons == ("stop", "stop")
    assert targets.logprobs is None
    assert policy.decode(targets.ids, targets.mask) == targets.texts


def test_box_targets_are_written_in_the_policys_coordinates(qwen3_vl):
    policy = loaded(qwen3_vl, coordinates="permille")
    box = Sample("b", (NoiseImage(200, 100),), "Where?", Box((20, 10, 100, 100)), style="answer")
    assert policy.encode_targets([box], policy.encode([box])).texts == ("[100, 100, 500, 1000]",)


def test_decoding_leaves_out_end_tokens_only(qwen3_vl):
    policy = loaded(qwen3_vl)
    ids = torch.tensor([policy.codec.tokenizer("ab<|im_start|>c<|im_end|>")["input_ids"]])
    assert policy.decode(ids, torch.ones_like(ids).bool()) == ("ab<|im_start|>c",)


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        pytest.param({}, 36, id="default"),
        pytest.param({"max_pixels": 32 * 32}, 4, id="max"),
        pytest.param({"min_pixels": 128 * 128, "max_pixels": 256 * 256}, 64, id="min"),
    ],
)
def test_pixel_limits_change_the_grid(checkpoint, limits, tokens):
    prompt = loaded(checkpoint, **limits).encode([sample("?", [NoiseImage(96, 96)])]).items[0]
    assert int(prompt.inputs["image_grid_thw"].prod()) // 4 == tokens
    assert int((prompt.inputs["input_ids"] == SPECIAL.index(IMAGE)).sum()) == tokens


def test_the_policy_starts_in_train_mode(qwen3_vl):
    assert all(module.training for module in loaded(qwen3_vl).modules())


def test_evaluating_restores_the_mode_of_each_module_also_after_an_error(qwen3_vl):
    policy = loaded(qwen3_vl)
    policy.hf_model.get_encoder(modality="image").eval()
    before = [module.training for module in policy.modules()]
    with policy.evaluating():
        assert not any(module.training for module in policy.modules())
        assert not torch.is_grad_enabled()
    assert [module.training for module in policy.modules()] == before
    with pytest.raises(KeyError), policy.evaluating():
        raise KeyError
    assert [module.training for module in policy.modules()] == before
    assert len(set(before)) == 2


def test_gradient_checkpointing_changes_no_gradient(checkpoint, samples):
    rows = noise_rows(len(samples))
    both = []
    for switch in (False, True):
        policy = loaded(checkpoint, gradient_checkpointing=switch)
        assert any(getattr(m, "gradient_checkpointing", False) for m in policy.modules()) == switch
        logprobs = policy.logprobs(policy.encode(samples), write(policy, rows)).logprobs
        both.append(gradients(policy, logprobs.square().sum()))
    assert_same_gradients(both[1], both[0])


def test_an_untouched_adapter_and_a_switched_off_one_are_the_base_model(checkpoint, samples):
    policy, base = loaded(checkpoint, lora=LoRA(rank=2)), loaded(checkpoint)
    completions, prompts = write(base, noise_rows(len(samples))), base.encode(samples)
    expected = base.logprobs(prompts, completions).logprobs
    assert torch.equal(policy.logprobs(prompts, completions).logprobs, expected)
    shake(policy)
    assert (policy.logprobs(prompts, completions).logprobs - expected).abs().max() > 1e-2
    with policy.adapter_disabled():
        assert torch.equal(policy.logprobs(prompts, completions).logprobs, expected)
    assert (policy.logprobs(prompts, completions).logprobs - expected).abs().max() > 1e-2


def test_a_policy_without_adapter_has_none_to_switch_off(qwen3_vl):
    with pytest.raises(ValueError, match="has no adapter to switch off"), loaded(qwen3_vl).adapter_disabled():
        pass


@pytest.mark.parametrize("lora", [None, LoRA(rank=2, parts=("language", "vision", "projector"))], ids=["full", "lora"])
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_an_export_has_the_same_logprobs(family, samples, tmp_path, lora, request):
    policy = loaded(request.getfixturevalue(family), lora=lora)
    shake(policy)
    prompts, completions = policy.encode(samples), write(policy, noise_rows(len(samples)))
    expected = policy.logprobs(prompts, completions).logprobs
    names = list(policy.state_dict())
    policy.export(tmp_path / "export")
    again = loaded(str(tmp_path / "export"))
    assert not again.has_adapter
    got = again.logprobs(again.encode(samples), completions).logprobs
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert again.end_token_ids == policy.end_token_ids
    assert AutoConfig.from_pretrained(tmp_path / "export").architectures == [type(policy.hf_model).__name__]
    assert list(policy.state_dict()) == names
    assert torch.equal(policy.logprobs(prompts, completions).logprobs, expected)


def test_prompts_are_repeated_by_reference(qwen3_vl, samples):
    prompts = loaded(qwen3_vl).encode(samples[:2])
    repeated = Prompts(prompts.items).repeat_interleave(2)
    assert [id(p) for p in repeated] == [id(prompts.items[i]) for i in (0, 0, 1, 1)]


def test_training_a_step_and_sampling_again_changes_what_is_sampled(qwen3_vl):
    policy = loaded(qwen3_vl)
    params, prompts = SamplingParams(max_tokens=8, temperature=0.0), policy.encode([sample()])
    before = LocalSampler().generate(policy, prompts, 1, params, range(len(prompts)))
    shake(policy)
    after = LocalSampler().generate(policy, prompts, 1, params, range(len(prompts)))
    assert before.texts != after.texts


def shake(policy):
    """Move every trainable parameter, adapters included."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))


@pytest.mark.parametrize("text", ["How many <|image_pad|>?", "<|im_end|>"])
def test_control_tokens_in_data_are_refused(qwen3_vl, text):
    policy = loaded(qwen3_vl)
    assert set(policy.codec.tokenizer.all_special_tokens) >= {"<|image_pad|>", "<|im_end|>"}
    with pytest.raises(InputError, match="expected text without control tokens"):
        policy.encode([sample(text)])


def test_an_exported_folder_says_how_its_policy_writes_coordinates(qwen3_vl, tmp_path):
    assert VLM(qwen3_vl).codec.coordinates == "permille"
    loaded(qwen3_vl, coordinates="unit").export(tmp_path / "out")
    assert VLM(str(tmp_path / "out")).codec.coordinates == "unit"
    assert VLM(str(tmp_path / "out"), coordinates="pixels").codec.coordinates == "pixels"
    (tmp_path / "out/vrft_pl.json").write_text('{"coordinates": "miles"}')
    with pytest.raises(InputError, match="Expected `coordinates` in .* to be one of"):
        loaded(str(tmp_path / "out"))

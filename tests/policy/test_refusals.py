"""Checkpoints that can't be trained here end with one line before anything is computed."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from architectures import BUILDERS
from checkpoints import MIXED, loaded
from families import build_llava_onevision, noise_rows, write
from transformers import AutoTokenizer

from vrft_pl.policy import VLM
from vrft_pl.policy.codec import Codec
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import InputError


@pytest.mark.parametrize("name", ["t5gemma2", "florence2", "vision_encoder_decoder"])
def test_an_encoder_decoder_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=r"to continue its prompt, but it is an encoder-decoder \(`.*`\). Use"):
        VLM(BUILDERS[name](tmp_path / name))


@pytest.mark.parametrize("name", ["unlimited_ocr", "diffusion_gemma"])
def test_what_asks_for_more_than_its_processor_gives_or_writes_otherwise_is_refused(name, tmp_path):
    policy = loaded(BUILDERS[name](tmp_path / name))
    with pytest.raises(InputError, match="to give a prompt the log-probs of the untouched model, but it raises"):
        policy.may("batching")


def test_a_model_that_does_not_see_is_refused(qwen3_vl):
    policy = loaded(qwen3_vl)
    torch.nn.init.zeros_(policy.hf_model.model.visual.merger.linear_fc2.weight)
    for merger in policy.hf_model.model.visual.deepstack_merger_list:
        torch.nn.init.zeros_(merger.linear_fc2.weight)
    with pytest.raises(InputError, match="Expected another picture to change what Qwen3VL.* says, but every log-prob"):
        policy.logprobs(policy.encode(MIXED[:1]), write(policy, noise_rows([3])))


@pytest.mark.parametrize("name", ["chameleon", "fuyu"])
def test_a_chat_template_is_found_where_the_processor_drops_it(name, tmp_path):
    codec = Codec(BUILDERS[name](tmp_path / name))
    prompts = codec.encode([MIXED[0]])
    assert "How many?" in codec.tokenizer.decode(prompts.items[0].inputs["input_ids"][0])


def test_token_types_are_asked_for_that_a_model_needs(tmp_path):
    """Red where a processor leaves them out by itself, as that of Cosmos 3 Edge does."""
    codec = Codec(BUILDERS["cosmos3_edge"](tmp_path / "cosmos"))
    (prompt,) = codec.encode([MIXED[0]])
    assert prompt.inputs["mm_token_type_ids"].sum() > 0


@pytest.mark.parametrize("name", ["minicpmv4_6", "lighton_ocr"])
def test_limits_of_pixels_need_a_processor_that_has_them(name, tmp_path):
    folder = BUILDERS[name](tmp_path / name)
    with pytest.raises(InputError, match="`min_pixels` and `max_pixels` need a processor that resizes by area"):
        Codec(folder, max_pixels=1024)


def test_pixels_after_the_resize_need_a_processor_that_stretches(qwen3_vl, tmp_path):
    assert Codec(qwen3_vl, "resized_pixels").coordinates == "resized_pixels"
    with pytest.raises(InputError, match="with a processor that stretches pictures, but Kimi.* pads them. Use"):
        Codec(BUILDERS["kimi_k25"](tmp_path / "kimi"), "resized_pixels")


def test_every_token_that_stands_for_a_picture_is_banned(tmp_path):
    """Red where a list of them is overlooked, as that of Ovis 2."""
    codec = Codec(BUILDERS["ovis2"](tmp_path / "ovis2"))
    marks = ["<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    assert set(codec.tokenizer.convert_tokens_to_ids(marks)) <= set(codec.banned_token_ids)


@pytest.mark.parametrize(("name", "token"), [("gemma4", "<|im_end|>"), ("idefics2", "<end_of_utterance>")])
def test_a_turn_ends_as_the_template_ends_it_though_the_processor_shortens_the_list(name, token, tmp_path):
    codec = Codec(BUILDERS[name](tmp_path / name))
    (end,) = codec.end_of_turn
    assert codec.tokenizer.convert_ids_to_tokens(end) == token
    with pytest.raises(InputError, match="expected text without control tokens"):
        codec.encode([replace(MIXED[0], problem=f"a {token} b")])


def test_several_pictures_are_refused_where_the_model_takes_one(tmp_path):
    policy = loaded(BUILDERS["git"](tmp_path / "git"))
    with pytest.warns(UserWarning, match="mixes the prompts"):
        policy.may("batching")
    assert policy.untaken == {2}
    assert len(policy.encode([MIXED[0], MIXED[2]])) == 2
    with pytest.raises(InputError, match="expected one picture, which is all GitForCausalLM takes, but got 2"):
        policy.encode([MIXED[1]])


def test_a_picture_too_many_moves_what_follows_and_is_noticed(tmp_path):
    """Red where several pictures come last in the comparison: BLIP-2 then passes for right."""
    policy = loaded(BUILDERS["blip_2"](tmp_path / "blip_2"))
    with pytest.raises(InputError, match="log-probs differ from those of the untouched model"):
        policy.may("batching")


def test_gradients_that_break_in_a_padded_batch_are_a_reason_to_go_one_at_a_time(tmp_path):
    """Red where log-probs alone are compared: Gemma 3n then trains to weights that are no numbers."""
    pytest.importorskip("timm")
    policy = loaded(BUILDERS["gemma3n"](tmp_path / "gemma3n"))
    with pytest.warns(UserWarning, match="mixes the prompts of a batch: gradients of padded prompts are not finite"):
        assert not policy.may("batching")
    prompts = policy.encode([MIXED[0], MIXED[3]])
    policy.logprobs(prompts, policy.encode_targets([MIXED[0], MIXED[3]], prompts)).logprobs.sum().backward()
    assert all(p.grad.isfinite().all() for p in policy.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("dynamic", {"factor": 4.0}),
        ("longrope", {"factor": 4.0, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}),
    ],
)
def test_a_long_prompt_leaves_a_short_one_beside_it_alone(kind, more, tmp_path):
    rope = {"rope_type": kind, "rope_theta": 100.0, "original_max_position_embeddings": 512, **more}
    most = 512 if kind == "dynamic" else 2048
    policy = loaded(build_llava_onevision(tmp_path / kind, max_position_embeddings=most, rope_parameters=rope))
    prompts = policy.encode([MIXED[0], replace(MIXED[0], problem="How many? " * 60)])
    completions = write(policy, noise_rows([5, 5]))
    with pytest.warns(UserWarning, match="its rotary frequencies"):
        policy.may("batching")
    with policy.evaluating():
        got = policy.logprobs(prompts, completions).logprobs[:1]
        expected = policy.untouched_logprobs(prompts[:1], completions.select([0])).logprobs
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def with_template(folder, template, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copy")
    (copied / "chat_template.jinja").write_text(template)
    return str(copied)


def test_a_template_that_writes_no_answers_leaves_the_tokenizers_own_end(qwen3_vl, tmp_path):
    """Red where what follows the question is taken for what follows the answer."""
    asking = "{% for m in messages if m.role == 'user' %}<|im_start|>user\n{% for p in m.content %}"
    asking += "{% if p.type == 'image' %}<|image_pad|>{% else %}{{ p.text }}{% endif %}{% endfor %}<|im_end|>\n"
    codec = Codec(with_template(qwen3_vl, asking + "<|im_start|>assistant\n{% endfor %}", tmp_path))
    assert codec.end_of_turn == (codec.tokenizer.eos_token_id,)


@pytest.mark.parametrize(
    "template",
    ["{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}", "{{ raise_exception('no') }}", "{% oops %}"],
    ids=["text-alone", "raises", "syntax"],
)
def test_a_template_that_can_not_be_used_is_refused(qwen3_vl, template, tmp_path):
    with pytest.raises(InputError, match="Expected the chat template of .* to write a question and its answer"):
        Codec(with_template(qwen3_vl, template, tmp_path))


def test_tokens_without_an_embedding_are_named(qwen3_vl, tmp_path):
    folder = shutil.copytree(qwen3_vl, tmp_path / "copy")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<think>", "many"])
    tokenizer.save_pretrained(folder)
    policy = loaded(str(folder))
    with pytest.raises(InputError, match=r"expected tokens that the model has an embedding of, but 'many' is number"):
        policy.encode([MIXED[0]])


def test_padding_by_a_token_that_stands_for_pictures_is_replaced(qwen3_vl, tmp_path):
    folder = shutil.copytree(qwen3_vl, tmp_path / "copy")
    tokenizer = AutoTokenizer.from_pretrained(folder, pad_token="<|image_pad|>")
    tokenizer.save_pretrained(folder)
    policy = loaded(str(folder))
    assert policy.pad_token_id not in policy.banned_token_ids
    assert policy.may("batching")


def test_weights_that_are_no_numbers_end_sampling_with_one_line(qwen3_vl):
    policy = loaded(qwen3_vl)
    prompts = policy.encode(MIXED[:1])
    LocalSampler().settle(policy)
    torch.nn.init.constant_(policy.hf_model.lm_head.weight, float("nan"))
    with pytest.raises(InputError, match="Expected finite log-probs of what is sampled, but some are not"):
        LocalSampler().generate(policy, prompts, 2, SamplingParams(4), range(len(prompts)))


def test_configs_that_do_not_validate_are_refused(qwen3_vl, tmp_path):
    folder = shutil.copytree(qwen3_vl, tmp_path / "copy")
    generation = folder / "generation_config.json"
    generation.write_text('{"max_new_tokens": -1}')
    with pytest.raises(InputError, match="Expected a generation config at"):
        Codec(str(folder))
    generation.unlink()
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = "a"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="Expected a (processor|config of a model) at"):
        Codec(str(folder))


def test_a_question_that_fills_the_context_is_refused_before_anything_is_computed():
    policy = VLM()
    with pytest.raises(
        InputError, match="long: expected a question of fewer than the 2,048 tokens .* but got [\\d,]+. Sh"
    ):
        policy.encode([replace(MIXED[0], id="long", problem="How many? " * 2_000)])
    assert policy.model is None

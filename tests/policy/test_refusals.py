"""Checkpoints that can't be trained here end with one line before anything is computed."""

from dataclasses import replace

import pytest
import torch
from architectures import BUILDERS
from checkpoints import MIXED, loaded
from families import noise_rows, write

from vrft_pl.policy import VLM
from vrft_pl.policy.codec import Codec
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

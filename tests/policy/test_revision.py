"""A checkpoint of a hub, as it lies in the cache of a machine without a network."""

import json
import shutil

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file

from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.checkpoint import NOTE, TINY, commit_of
from vrft_pl.types import InputError

OLD, NEW = "a" * 40, "b" * 40
WEIGHT = "model.language_model.norm.weight"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Two commits of one checkpoint, of which the main branch is at the second, whose weights and template differ."""
    home = tmp_path / "hub/models--me--tiny"
    for commit in (OLD, NEW):
        shutil.copytree(TINY, home / "snapshots" / commit)
    new = home / "snapshots" / NEW
    weights = load_file(new / "model.safetensors")
    save_file({**weights, WEIGHT: weights[WEIGHT] + 1}, new / "model.safetensors", {"format": "pt"})
    (new / "generation_config.json").write_text(json.dumps({"eos_token_id": [5]}))
    (new / "chat_template.jinja").write_text((new / "chat_template.jinja").read_text() + "{# new #}")
    (new / NOTE).write_text('{"coordinates": "unit"}')
    (home / "refs").mkdir()
    (home / "refs/main").write_text(NEW)
    (home / "refs/v1").write_text(OLD)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(("revision", "commit"), [(None, NEW), ("main", NEW), ("v1", OLD), (OLD, OLD), (NEW, NEW)])
def test_weights_and_config_are_those_of_the_revision(hub, revision, commit):
    policy = VLM("me/tiny", revision=revision).load()
    expected = VLM("tiny").load().state_dict()[f"model.{WEIGHT}"] + (commit == NEW)
    torch.testing.assert_close(policy.state_dict()[f"model.{WEIGHT}"], expected)
    assert ("{# new #}" in policy.codec.processor.chat_template) == (commit == NEW)
    assert policy.codec.coordinates == ("unit" if commit == NEW else "resized_pixels")
    assert commit_of("me/tiny", revision) == commit
    assert (5 in policy.end_token_ids) == (commit == NEW)


def test_a_revision_that_is_not_in_the_cache_is_one_line(hub):
    with pytest.raises(InputError, match="Expected a processor at `me/tiny`, but"):
        VLM("me/tiny", revision="v2")
    with pytest.raises(InputError, match="Expected a processor at `me/other`, but"):
        VLM("me/other")


def test_an_adapter_names_the_revision_of_its_base(hub, tmp_path):
    VLM("me/tiny", lora=LoRA(rank=1), revision="v1").load().export_adapter(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("me/tiny", "v1")


def test_a_folder_has_no_revision():
    assert commit_of("tiny") is None
    with pytest.raises(InputError, match="Expected `revision` with the id of a hub, but `tiny` is a folder"):
        VLM("tiny", revision="v1")

import math
import os
from pathlib import Path

import pytest
import torch

from vrft_pl.commands.ranges import MOST_PROCESSES, RANGES, out_of_range, refuse_unusable, unwritable
from vrft_pl.modules import SFTModule
from vrft_pl.policy import VLM
from vrft_pl.rollout import SamplingParams


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        pytest.param("seed_everything", 2**32, 2**32 - 1, id="seed"),
        pytest.param("trainer.accumulate_grad_batches", 0, 1, id="accumulate"),
        pytest.param("trainer.val_check_interval", 0, 0.5, id="val-check"),
        pytest.param("trainer.limit_train_batches", 0.0, 0.1, id="limit-train"),
        pytest.param("trainer.gradient_clip_val", math.nan, 0.0, id="clip-nan"),
        pytest.param("trainer.gradient_clip_val", math.inf, 1.0, id="clip-inf"),
        pytest.param("trainer.devices", str(MOST_PROCESSES + 1), "auto", id="devices"),
        pytest.param("trainer.devices", "many", "0, 1", id="devices-of-words"),
        pytest.param("run.folder", "a\0b", "a", id="null-character"),
        pytest.param("run.folder", "\udcff", "αβγ", id="halves"),
        pytest.param("run.folder", "", "a", id="empty"),
        pytest.param("run.folder", f"b/{'a' * 256}", "a" * 255, id="long-name"),
        pytest.param("checkpoint.filename", "{step:99999999999}", "{step}-{val/id/BoxIoU:.2f}", id="wide-field"),
        pytest.param("checkpoint.filename", "{", "step", id="open-brace"),
        pytest.param("watchdog.timeout", math.nan, 1500.0, id="timeout"),
        pytest.param("model.init_args.group_size", 10**9, 8, id="group"),
    ],
)
def test_a_value_that_nothing_can_be_done_with_is_named_with_its_key(key, value, right):
    said = out_of_range({"trainer.accelerator": "cpu", key: value})
    assert said is not None
    assert said.startswith(f"Expected `{key}` to be ")
    assert "but got" in said
    assert out_of_range({"trainer.accelerator": "cpu", key: right}) is None


def test_a_value_that_is_left_out_or_null_is_in_its_range():
    assert out_of_range({}) is None
    assert out_of_range(dict.fromkeys(RANGES)) is None


def test_a_section_that_holds_no_keys_is_named():
    assert out_of_range({"trainer": [1]}) == "Expected `trainer` to be a section of keys and values, but got '[1]'."


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0])
def test_a_learning_rate_that_is_none_is_refused_before_training(rate):
    module = SFTModule(VLM(), optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=rate))
    with pytest.raises(ValueError, match="learning rate|`lr` of the optimizer to be finite"):
        refuse_unusable(module)
    refuse_unusable(SFTModule(VLM()))


def test_completions_that_fill_the_context_are_refused():
    with pytest.raises(ValueError, match="`params.max_tokens` to leave room .* in the 2,048 tokens .* got 2,048"):
        refuse_unusable(SFTModule(VLM(), eval_params=SamplingParams(2048, temperature=0.0)))


@pytest.mark.parametrize("raised", [PermissionError, FileNotFoundError])
def test_a_folder_that_can_not_be_made_is_refused_whatever_its_rights_say(raised, tmp_path, monkeypatch):
    """As below ``/sys`` and ``/proc``."""

    def refuse(*args, **kwargs):
        raise raised

    monkeypatch.setattr(os, "mkdir", refuse)
    expected = f"Expected a folder that can be written at {tmp_path / 'a/b'}, but {tmp_path} may not be written into."
    assert unwritable(tmp_path / "a/b") == f"{expected} Name another one."


def test_asking_whether_a_folder_can_be_written_leaves_nothing(tmp_path):
    assert unwritable(tmp_path / "a/b") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is Linux's")
def test_a_folder_below_proc_is_refused():
    assert "but /proc may not be written into" in str(unwritable(Path("/proc/nowhere/x")))

"""Architectures that do something their own way: right, or the slower way, but never silently wrong.

A dozen of them in every run of the suite; `pytest -m nightly tests/test_architectures.py` tries the others.
"""

import importlib
import sys
from pathlib import Path

import pytest
import transformers
from architectures import BUILDERS, NOT_BUILT
from packaging.version import Version
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN

CHOSEN = ["video_llama_3", "mistral3", "ovis2", "qwen3_5", "lfm2_vl", "molmo2", "gemma4_moe", "mllama", "kimi_k25"]
CHOSEN += ["minicpmv4_6", "hunyuan_vl", "perception_lm"]
NEWEST = Version("5.23.0")
"""Of transformers, when the checkpoints were written; earlier ones do not know all of them."""
QUICK = ["encode", "batch", "several", "shared", "decoding", "gradients", "GRPO", "LoRA GRPO"]
"""What the chosen are tried in; each of the others in everything."""
OTHERS = [pytest.param(name, marks=pytest.mark.nightly) for name in sorted(BUILDERS) if name not in CHOSEN]


@pytest.fixture(scope="module")
def tool():
    """`tools/try_models.py`, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "tools"))
        yield importlib.import_module("try_models")
        sys.modules.pop("try_models")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*CHOSEN, *OTHERS])
def test_an_architecture_is_right_slower_or_refused(tool, name):
    if name in ("fast_vlm", "gemma3n", "perception_lm"):
        pytest.importorskip("timm")
    wanted = QUICK if name in CHOSEN else list(tool.TRIALS)
    outcomes = dict(tool.attempts(name, wanted))
    if outcomes["encode"].kind == "absent" and Version(transformers.__version__) < NEWEST:
        pytest.skip(outcomes["encode"].reason)
    assert outcomes["encode"].kind != "absent", outcomes["encode"].reason
    bad = {key: outcome.reason for key, outcome in outcomes.items() if outcome.kind in tool.BAD}
    assert not bad
    if name in CHOSEN:
        assert list(outcomes) == wanted


def test_every_key_of_the_map_has_a_checkpoint_or_a_reason():
    """Red when transformers learns an architecture that was never tried."""
    built = {name.replace("_clip", "") for name in BUILDERS}
    missing = {key for key in KNOWN if key.replace("-", "_").replace(".", "_") not in built | set(NOT_BUILT)}
    assert not missing


@pytest.mark.filterwarnings("ignore")
def test_a_fault_is_seen(tool, monkeypatch):
    """The trials themselves: log-probs of another picture are no cell that passes."""
    batch = tool.VLM.batch

    def shifted(self, prompts, copies=1):
        inputs, positions = batch(self, prompts, copies)
        inputs["pixel_values"] = inputs["pixel_values"].roll(1, 0)
        return inputs, positions

    monkeypatch.setattr(tool.VLM, "batch", shifted)
    monkeypatch.setattr(tool.VLM, "may", lambda self, way: True)
    outcomes = dict(tool.attempts("qwen3_vl", ["encode", "log-probs", "batch", "gradients"]))
    kinds = {key: outcome.kind for key, outcome in outcomes.items()}
    assert kinds == {"encode": "right", "log-probs": "wrong", "batch": "wrong", "gradients": "wrong"}

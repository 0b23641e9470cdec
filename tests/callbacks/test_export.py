from types import SimpleNamespace

import pytest
import torch
from checkpoints import loaded
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import FSDPStrategy
from safetensors.torch import load_file
from training import Share, counting, fit, sgd, weights

from vrft_pl.callbacks import HFExport
from vrft_pl.data import CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.policy import VLM, LoRA
from vrft_pl.rewards import Reward
from vrft_pl.rollout import SamplingParams
from vrft_pl.types import InputError


class Rehearsed(Reward):
    """Scores that were written down before."""

    scores = (0.2, 0.9, 0.1)
    calls = 0

    def grade_one(self, text, sample, frame):
        type(self).calls += 1
        return self.scores[self.calls - 1]


def run(checkpoint, folder, callbacks, metric=None, max_epochs=1, **kwargs):
    module = SFTModule(
        loaded(checkpoint, max_pixels=1024),
        metrics=[metric or Share()],
        optimizer=sgd,
        eval_params=SamplingParams(2, temperature=0.0),
    )
    task = counting(val={"id": CountingScenes(size=1, image_size=32)})
    settings = {"logger": CSVLogger(folder, "run", "0"), "max_epochs": max_epochs, "num_sanity_val_steps": 0}
    fit(module, task, callbacks=callbacks, enable_checkpointing=len(callbacks) > 1, **settings, **kwargs)
    return module, folder / "run" / "0"


def assert_holds(folder, expected):
    written = load_file(folder / "model.safetensors")
    assert written
    assert all(torch.equal(value, expected[f"model.{name}"]) for name, value in written.items())


def test_the_policy_at_the_end_is_exported(qwen3_vl, tmp_path):
    module, folder = run(qwen3_vl, tmp_path, [HFExport()])
    assert_holds(folder / "export", weights(module))
    assert not (folder / "export-best").exists()
    assert loaded(str(folder / "export")).end_token_ids == module.policy.end_token_ids


def test_the_best_policy_is_exported_beside_the_last(qwen3_vl, tmp_path):
    best = ModelCheckpoint(tmp_path / "best", monitor="val/id/Rehearsed", mode="max")
    Rehearsed.calls = 0
    exporter = HFExport()
    module, folder = run(qwen3_vl, tmp_path, [exporter, best], Rehearsed(), max_epochs=3)
    assert Rehearsed.calls == 3
    saved = torch.load(best.best_model_path, weights_only=False)
    assert (best.best_model_score, saved["epoch"]) == (pytest.approx(0.9), 1)
    policy = {name.removeprefix("policy."): value for name, value in saved["state_dict"].items()}
    assert_holds(folder / "export-best", policy)
    assert exporter.best(module.trainer) == ("val/id/Rehearsed", pytest.approx(0.9))
    assert_holds(folder / "export", weights(module))
    assert any(not torch.equal(policy[name], value) for name, value in weights(module).items())


def test_a_disabled_export_writes_nothing(qwen3_vl, tmp_path):
    _, folder = run(qwen3_vl, tmp_path, [HFExport(enabled=False)])
    assert not list(folder.glob("export*"))


def test_a_strategy_whose_weights_are_not_gathered_is_refused_before_the_first_step():
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(InputError, match="can be gathered for the export, but got FSDPStrategy. Use `deepspeed_stage"):
        HFExport().setup(trainer, None, "fit")
    HFExport(enabled=False).setup(trainer, None, "fit")
    HFExport().setup(trainer, None, "validate")


def test_an_adapter_is_exported_alone(qwen3_vl, tmp_path):
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024, lora=LoRA(rank=2)), optimizer=sgd)
    fit(module, callbacks=[HFExport(what="adapter")], logger=CSVLogger(tmp_path, "run", "0"))
    written = load_file(tmp_path / "run/0/export/adapter_model.safetensors")
    trained = {name: value for name, value in weights(module).items() if "lora_" in name}
    assert {f"model.{name}".replace("weight", "default.weight"): value.tolist() for name, value in written.items()} == {
        name: value.tolist() for name, value in trained.items()
    }


def test_an_adapter_that_there_is_not_is_refused_before_weights_are_loaded(qwen3_vl):
    module = SFTModule(VLM(qwen3_vl), optimizer=sgd)
    with pytest.raises(InputError, match="policy with `lora` for `export.what: adapter`, but it has no adapter. Use"):
        fit(module, callbacks=[HFExport(what="adapter")])
    assert module.policy.model is None

"""What a checkpoint holds of those who decide the next step."""

import random

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch.optim import Adam
from training import counting, fit, grpo, loaded, weights

from vrft_pl.algorithms import GroupAdvantage
from vrft_pl.modules import SFTModule
from vrft_pl.policy.parts import LoRA
from vrft_pl.rollout import RolloutCallback


class Tired(GroupAdvantage):
    """Believes each window less than the one before."""

    def __init__(self):
        super().__init__()
        self.windows = 0

    def __call__(self, *args, **kwargs):
        self.windows += 1
        return super().__call__(*args, **kwargs) / self.windows

    def state_dict(self):
        return {"windows": self.windows}

    def load_state_dict(self, state):
        self.windows = state["windows"]


class Chance(RolloutCallback):
    """Keeps what the global generators of Python and numpy say at each window."""

    def __init__(self):
        self.drawn = []

    def on_rollout_end(self, trainer, module, experience):
        self.drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))


class Curriculum(RolloutCallback):
    """Trains on one group fewer every other window."""

    def __init__(self):
        self.windows = 0

    def state_dict(self):
        return {"windows": self.windows}

    def load_state_dict(self, state):
        self.windows = state["windows"]

    def on_rollout_end(self, trainer, module, experience):
        self.windows += 1
        return experience.select([0]) if self.windows % 2 == 0 else None


def run(checkpoint, ckpt_path=None, callbacks=(), **kwargs):
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    module, chance = grpo(checkpoint, advantage=Tired()), Chance()
    fit(module, counting(size=8), ckpt_path, callbacks=[chance, *callbacks], **kwargs)
    return module, chance.drawn


def kept(checkpoint, folder, callbacks=()):
    keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1)
    module, drawn = run(checkpoint, callbacks=[keep, *callbacks], enable_checkpointing=True)
    return module, drawn, folder / "step=2.ckpt"


def test_an_advantage_that_remembers_and_global_numbers_go_on_as_they_were(qwen3_vl, tmp_path):
    whole, drawn, checkpoint = kept(qwen3_vl, tmp_path)
    resumed, rest = run(qwen3_vl, str(checkpoint))
    assert len(set(drawn)) == len(drawn)
    assert rest == drawn[-len(rest) :]
    assert resumed.advantage.windows == whole.advantage.windows
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_the_state_of_all_deciders_is_under_one_key(qwen3_vl, tmp_path):
    _, _, path = kept(qwen3_vl, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    (rank,) = checkpoint["vrft_pl"]["deciders"]["ranks"]
    assert rank["advantage"] == {"windows": 2}
    (loader,) = checkpoint["vrft_pl"]["loader"]["ranks"]
    assert {"epoch", "position", "random", "experience"} <= set(loader)
    assert "combined_loader" not in checkpoint["loops"]["fit_loop"]["state_dict"]


def test_callbacks_that_change_what_is_trained_on_are_deciders_too(qwen3_vl, tmp_path):
    whole, _, path = kept(qwen3_vl, tmp_path, callbacks=[Curriculum()])
    checkpoint = torch.load(path, weights_only=True)
    (rank,) = checkpoint["vrft_pl"]["deciders"]["ranks"]
    assert rank["callbacks"] == {"Curriculum": {"windows": 2}}
    assert "Curriculum" not in checkpoint["callbacks"]
    assert any(key.startswith("ModelCheckpoint") for key in checkpoint["callbacks"])  # it watches
    resumed, _ = run(qwen3_vl, str(path), callbacks=[Curriculum()])
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_a_resumed_run_takes_the_ways_that_were_decided_on(qwen3_vl, tmp_path):
    _, _, path = kept(qwen3_vl, tmp_path)
    module, policy = grpo(qwen3_vl), loaded(qwen3_vl)
    checkpoint = torch.load(path, weights_only=True)
    (rank,) = checkpoint["vrft_pl"]["deciders"]["ranks"]
    assert rank["verdicts"]["sharing"] is True
    policy.verdicts.load_state_dict({**rank["verdicts"], "sharing": False})
    assert not policy.may("sharing")
    assert "verdicts" in module.deciders


def test_what_is_logged_of_a_window_goes_on_with_every_reason_that_occurred(qwen3_vl, tmp_path):
    whole, _, checkpoint = kept(qwen3_vl, tmp_path)
    state = torch.load(checkpoint, weights_only=True)
    reason = "train/parse_failures/Count/truncated"
    (rank,) = state["vrft_pl"]["deciders"]["ranks"]
    rank.setdefault("rollout_stats", {})[reason] = 0.25
    torch.save(state, tmp_path / "failed.ckpt")
    resumed, _ = run(qwen3_vl, str(tmp_path / "failed.ckpt"))
    assert resumed.trainer.logged_metrics[reason] == 0
    assert set(whole.trainer.logged_metrics) == set(resumed.trainer.logged_metrics) - {reason}


def scaled():
    """Half precision, with a scale of the loss that doubles every other step; on a CPU Lightning has none by itself."""
    return {"plugins": MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", 4.0, growth_interval=2))}


@pytest.mark.parametrize(
    ("policy", "settings"),
    [
        pytest.param({}, scaled, id="scale-of-the-loss"),
        pytest.param({}, lambda: {"precision": "bf16-mixed"}, id="bf16", marks=pytest.mark.nightly),
        pytest.param({"lora": LoRA(rank=2)}, dict, id="lora", marks=pytest.mark.nightly),
    ],
)
def test_adapters_and_the_state_of_precision_go_on_as_they_were(qwen3_vl, tmp_path, policy, settings):
    def train(ckpt_path=None):
        torch.manual_seed(0)
        module = SFTModule(loaded(qwen3_vl, max_pixels=1024, **policy), optimizer=lambda p: Adam(p, lr=1e-2))
        keep = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1)
        own = {"callbacks": [keep], "enable_checkpointing": True, **settings()}
        trainer = fit(module, counting(size=8), ckpt_path, **own)
        return weights(module), trainer.precision_plugin.state_dict()

    whole, precision = train()
    resumed, again = train(str(tmp_path / "step=3.ckpt"))
    assert again == precision
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())

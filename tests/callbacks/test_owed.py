"""A run that is killed in a validation whose step is saved already."""

from types import MappingProxyType

import pytest
import torch
from checkpoints import loaded
from lightning import Callback
from training import Share, counting, sgd, weights

from vrft_pl.callbacks import CostMeter, OwedValidation, PredictionWriter, StepCheckpoint
from vrft_pl.data import CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import CutBack, MetricsLogger, RunFolder
from vrft_pl.trainer.base import RunTrainer


class Killed(Exception):
    pass


class KillIn(Callback):
    """Ends a process before or after a validation, counted from 1."""

    def __init__(self, validation, late=False):
        self.left, self.late = validation, late

    def on_validation_start(self, trainer, module):
        self.left -= 1
        if not self.left and not self.late:
            raise Killed

    def on_validation_end(self, trainer, module):
        if not self.left and self.late:
            raise Killed


def train(checkpoint, folder, kill=None, resume=False, keep=MappingProxyType({"every_n_train_steps": 1}), **kwargs):
    """Four steps of an epoch, saved each; a validation after the second and the last, and one after training."""
    torch.manual_seed(0)
    evaluation = {"metrics": [Share()], "eval_params": SamplingParams(2, temperature=0.0)}
    module = SFTModule(loaded(checkpoint, max_pixels=1024), optimizer=sgd, **evaluation)
    task = counting(size=8, batch_size=1, val={"id": CountingScenes(size=2, image_size=32)})
    saver = StepCheckpoint(folder / "checkpoints", filename="{step}", **keep)
    callbacks = [CostMeter(), PredictionWriter(pictures=0), CutBack(), OwedValidation(), saver]
    settings = {"accelerator": "cpu", "max_steps": 4, "accumulate_grad_batches": 2, "val_check_interval": 4}
    settings |= {"num_sanity_val_steps": 0, "log_every_n_steps": 1, "enable_model_summary": False}
    settings |= {"enable_progress_bar": False, "logger": MetricsLogger(folder), **kwargs}
    trainer = RunTrainer(callbacks=[*callbacks, *filter(None, [kill])], **settings)
    trainer.fit(module, datamodule=task, ckpt_path=RunFolder(folder).newest_checkpoint() if resume else None)
    trainer.validate(module, datamodule=task, verbose=False)
    return module


def left(folder):
    rows = [
        {name: value for name, value in row.items() if not name.startswith("time/")}
        for row in RunFolder(folder).metrics()
    ]
    return rows, list(RunFolder(folder).predictions())


@pytest.mark.parametrize(
    ("validation", "late"),
    [
        pytest.param(1, False, id="middle-before"),
        pytest.param(1, True, id="middle-after", marks=pytest.mark.nightly),
        pytest.param(2, False, id="last-step-before", marks=pytest.mark.nightly),
        pytest.param(2, True, id="last-step-after"),
    ],
)
def test_it_is_done_again_once(qwen3_vl, tmp_path, validation, late):
    """Also one whose rows were written: nobody knows of a killed process how far it came."""
    whole = train(qwen3_vl, tmp_path / "whole")
    for _ in range(2):  # the second is killed in what the first owed
        with pytest.raises(Killed):
            train(qwen3_vl, tmp_path / "killed", KillIn(validation, late), resume=True)
        validation = 1
    resumed = train(qwen3_vl, tmp_path / "killed", resume=True)
    assert left(tmp_path / "killed") == left(tmp_path / "whole")
    assert len([row for row in left(tmp_path / "whole")[0] if "val/id/Share" in row]) == 3
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


@pytest.mark.parametrize(
    "end",
    [
        pytest.param({}, id="steps-of-the-epoch", marks=pytest.mark.nightly),
        pytest.param({"max_steps": -1, "max_epochs": 1}, id="epochs", marks=pytest.mark.nightly),
        pytest.param({"max_steps": 2}, id="steps-in-the-epoch"),
    ],
)
@pytest.mark.parametrize(
    ("keep", "owed"),
    [
        pytest.param({"every_n_train_steps": 1}, True, id="before-it", marks=pytest.mark.nightly),
        pytest.param(
            {"every_n_train_steps": None, "every_n_epochs": 1}, False, id="after-it", marks=pytest.mark.nightly
        ),
        pytest.param({"save_on_train_epoch_end": True, "every_n_epochs": 1}, False, id="at-the-end-of-the-epoch"),
    ],
)
def test_a_checkpoint_knows_whether_it_owes_a_validation(qwen3_vl, tmp_path, keep, owed, end):
    """And a run that goes on from the one of its last step comes to the same end."""
    train(qwen3_vl, tmp_path, keep=keep, **end)
    whole = left(tmp_path)
    state = torch.load(RunFolder(tmp_path).newest_checkpoint(), weights_only=True)
    assert state["callbacks"]["OwedValidation"]["owed"] is owed
    train(qwen3_vl, tmp_path, resume=True, keep=keep, **end)
    assert left(tmp_path) == whole

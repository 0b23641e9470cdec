"""Callbacks that decide what is trained on: a run that is interrupted goes on to the bit, and ranks do as one does."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from looping import EVERY, OPTIONS, loop, loop_of_ranks
from training import weights

from vrft_pl.algorithms import GRPOLoss

NIGHTLY = [pytest.param(name, marks=[] if name == "all" else pytest.mark.nightly) for name in EVERY]


def interrupted(checkpoint, folder, name, stop):
    """A whole run, one that goes on where it was stopped, and what both trained on."""
    keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1)
    options = OPTIONS.get(name)
    whole, batches = loop(checkpoint, [*EVERY[name](), keep], options=options, enable_checkpointing=True)
    resumed, rest = loop(checkpoint, EVERY[name](), str(folder / f"step={stop}.ckpt"), options=options)
    return whole, resumed, batches, rest


@pytest.mark.parametrize("name", NIGHTLY)
@pytest.mark.parametrize("stop", [1, pytest.param(7, marks=pytest.mark.nightly)], ids=["within-a-window", "later"])
def test_an_interrupted_run_goes_on_as_it_would_have(qwen3_vl, tmp_path, name, stop):
    whole, resumed, batches, rest = interrupted(qwen3_vl, tmp_path, name, stop)
    assert len(batches) == 12
    assert rest == batches[stop:]
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


@pytest.mark.nightly
@pytest.mark.parametrize("name", EVERY)
def test_two_processes_train_on_what_one_does(qwen3_vl, tmp_path, name):
    script = Path(__file__).parent.with_name("ddp_step.py")
    subprocess.run([sys.executable, str(script), f"loop-{name}", qwen3_vl, str(tmp_path)], check=True, timeout=300)
    alone, batches = loop_of_ranks(qwen3_vl, name, 1)
    ranks = [torch.load(tmp_path / f"loop-{name}{rank}.pt", weights_only=True) for rank in range(2)]
    assert any(batches[i][0] != batches[i + 2][0] for i in range(0, len(batches) - 2, 2))
    for name, value in weights(alone).items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        torch.testing.assert_close(ranks[0][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.nightly
def test_rows_beyond_the_epoch_replace_those_that_teach_nothing(qwen3_vl):
    _, plain = loop(qwen3_vl, [], loss=GRPOLoss())
    _, filled = loop(qwen3_vl, EVERY["dynamic"](), loss=GRPOLoss())
    assert sum(len(places) for places, *_ in filled) > sum(len(places) for places, *_ in plain)

import os
import signal

import pytest
import torch
from checkpoints import loaded
from lightning import Callback
from training import counting, fit, sgd

from vrft_pl.callbacks import StepCheckpoint, StopOnSignal
from vrft_pl.modules import SFTModule


class SendAt(Callback):
    """Sends a signal before the n-th micro-batch is trained on."""

    def __init__(self, signum, batch_idx):
        self.signum, self.batch_idx = signum, batch_idx

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == self.batch_idx:
            os.kill(os.getpid(), self.signum)


def test_slurms_signal_saves_between_optimizer_steps_and_requeues_the_job(qwen3_vl, tmp_path, monkeypatch):
    """Lightning would save in the middle of whatever the signal interrupts."""
    job = {"NTASKS": 1, "NTASKS_PER_NODE": 1, "JOB_NAME": "train", "JOB_ID": 7, "PROCID": 0, "LOCALID": 0, "NODEID": 0}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "scontrol").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=sgd)
    callbacks = [SendAt(signal.SIGUSR1, 5), StopOnSignal()]
    settings = {"accumulate_grad_batches": 4, "default_root_dir": tmp_path, "callbacks": callbacks}
    trainer = fit(module, counting(size=12, batch_size=1), **settings)
    assert (
        torch.load(tmp_path / "hpc_ckpt_1.ckpt")["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"]
        == 8
    )
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert trainer.global_step == 3


@pytest.fixture
def handlers():
    """Puts back what listens to signals."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_ctrl_c_after_any_signal_ends_at_once(handlers, monkeypatch):
    stop, sent = StopOnSignal(), []
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # a scheduler may say it twice
        monkeypatch.setattr(os, "kill", lambda pid, signum: sent.append((pid, signum)))
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert sent == [(os.getpid(), signal.SIGINT)]
    assert stop.told()


def test_who_listened_before_listens_again(handlers):
    signal.signal(signal.SIGTERM, before := lambda *args: None)
    with StopOnSignal().listening():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_at_the_end_of_the_step_it_comes_in(qwen3_vl, tmp_path, handlers, signum):
    module, stop = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=sgd), StopOnSignal()
    saves = StepCheckpoint(tmp_path, filename="{step}", every_n_train_steps=100, save_top_k=-1)
    callbacks = [SendAt(signum, 5), stop, saves]
    fit(
        module,
        counting(size=12, batch_size=1),
        accumulate_grad_batches=4,
        enable_checkpointing=True,
        callbacks=callbacks,
    )
    assert stop.stopping
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step=2.ckpt", "step=3.ckpt"]

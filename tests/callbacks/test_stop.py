import os
import signal

import pytest
import torch
from checkpoints import loaded
from lightning import Callback, Trainer
from training import counting, fit, sgd

from vrft_pl.callbacks import StepCheckpoint, StopOnSignal
from vrft_pl.distributed import queue_again
from vrft_pl.modules import SFTModule


class SendAt(Callback):
    """Sends a signal before the n-th micro-batch is trained on."""

    def __init__(self, signum, batch_idx):
        self.signum, self.batch_idx = signum, batch_idx

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == self.batch_idx:
            os.kill(os.getpid(), self.signum)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job of SLURM, which notes what it is asked and takes a job again where `yes` says so."""
    job = {"NTASKS": 1, "NTASKS_PER_NODE": 1, "JOB_NAME": "train", "JOB_ID": 7, "PROCID": 0, "LOCALID": 0, "NODEID": 0}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    folder = tmp_path / "slurm"
    folder.mkdir()
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\nexit ${{REFUSED:-0}}\n')
    (folder / "scontrol").chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "asked"


def test_slurms_signal_saves_between_optimizer_steps_and_requeues_the_job(qwen3_vl, tmp_path, job):
    """Lightning would save in the middle of whatever the signal interrupts, and train on."""
    module, stop = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=sgd), StopOnSignal()
    saves = StepCheckpoint(tmp_path / "saved", filename="{step}", every_n_train_steps=100, save_top_k=-1)
    settings = {"accumulate_grad_batches": 4, "enable_checkpointing": True}
    fit(module, counting(size=12, batch_size=1), **settings, callbacks=[SendAt(signal.SIGUSR1, 5), stop, saves])
    saved = torch.load(tmp_path / "saved/step=2.ckpt")
    assert saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"] == 8
    assert job.read_text() == "requeue 7\n"
    assert stop.stopping
    assert stop.queued


@pytest.mark.parametrize(("refused", "taken"), [("0", True), ("1", False)])
def test_slurms_signal_is_listened_to_outside_of_training_and_the_job_queued_once(
    job, handlers, monkeypatch, refused, taken
):
    monkeypatch.setenv("REFUSED", refused)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "9")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    stop, trainer = StopOnSignal(), plain()
    with stop.listening(trainer):
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)  # by which SLURM ends a job that is queued again
    assert stop.told()
    assert stop.signum == signal.SIGUSR1
    stop.requeue(trainer)
    stop.requeue(trainer)
    assert stop.queued is taken
    assert job.read_text() == "requeue 9_2\n"


def test_a_job_is_not_queued_again_for_another_signal(job, handlers):
    stop, trainer = StopOnSignal(), plain()
    with stop.listening(trainer):
        os.kill(os.getpid(), signal.SIGTERM)
    stop.requeue(trainer)
    assert stop.queued is None
    assert not job.exists()


def test_slurm_that_is_not_found_or_does_not_answer_takes_no_job(job, monkeypatch):
    job.with_name("scontrol").write_text("#!/bin/sh\nexec sleep 9\n")
    monkeypatch.setattr("vrft_pl.distributed.slurm.SECONDS", 0.1)
    assert not queue_again()
    monkeypatch.setenv("PATH", "")
    assert not queue_again()


def plain():
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


@pytest.fixture
def handlers():
    """Puts back what listens to signals."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_ctrl_c_after_any_signal_ends_at_once(handlers, monkeypatch):
    stop, sent = StopOnSignal(), []
    with stop.listening(plain()):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # a scheduler may say it twice
        monkeypatch.setattr(os, "kill", lambda pid, signum: sent.append((pid, signum)))
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert sent == [(os.getpid(), signal.SIGINT)]
    assert stop.told()


def test_a_signal_ends_one_run_and_not_the_next_of_the_process(handlers):
    stop = StopOnSignal()
    with stop.listening(plain()):
        os.kill(os.getpid(), signal.SIGTERM)
    with stop.listening(plain()):
        assert not stop.told()


def test_who_listened_before_listens_again(handlers):
    signal.signal(signal.SIGTERM, before := lambda *args: None)
    with StopOnSignal().listening(plain()):
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

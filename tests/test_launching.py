"""The ways of `configs/hardware/README.md` to start several processes; the fast ones start nothing that trains."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from launching import slurm

from vrft_pl.runs import RunFolder

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "configs/hardware/slurm.sh"
CONFIGS = ["--config", str(ROOT / "configs/quickstart.yaml"), "--config", str(ROOT / "configs/hardware/cpu_ddp2.yaml")]
SHORT = ["--run.wandb", "off", "--export.enabled", "false", "--trainer.enable_progress_bar", "false"]
SHORT += ["--run.evaluate_before", "false", "--run.evaluate_after", "false", "--val_subset.times", "0"]
SHORT += ["--data.init_args.batch_size", "1"]


@pytest.fixture
def port():
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def job(tmp_path, port):
    """Variables of a job with two tasks; its `srun` says what it would start, and exits with `CODE`."""
    env = slurm(tmp_path, port)
    (tmp_path / "srun").write_text('#!/bin/sh\necho "$@"\nexit "${CODE:-0}"\n')
    return env


def submit(env, *args):
    done = subprocess.run(["bash", str(SCRIPT), *args], env=env, capture_output=True, text=True, check=False)
    notes = Path(env["SCONTROL_NOTES"])
    return done.stdout.split(), done.returncode, notes.read_text().split() if notes.exists() else []


def test_the_script_of_slurm_starts_a_task_a_device(job, tmp_path):
    words, code, notes = submit(job, str(tmp_path / "run"), *CONFIGS)
    asked = ["--trainer.num_nodes", "1", "--trainer.devices", "2", "--run.folder", str(tmp_path / "run")]
    assert words == ["--kill-on-bad-exit=1", "vrft_pl", "fit", *CONFIGS, *asked, "--resume"]
    assert (code, notes) == (0, [])


@pytest.mark.parametrize(
    ("code", "restarts", "queued"),
    [
        pytest.param(3, "0", True, id="a-rank-is-lost"),
        pytest.param(137, "2", True, id="killed"),
        pytest.param(3, "20", False, id="too-often"),
        pytest.param(1, "0", False, id="a-wrong-input"),
        pytest.param(143, "0", False, id="cancelled"),
    ],
)
def test_the_script_of_slurm_queues_again_what_was_lost(job, tmp_path, code, restarts, queued):
    env = job | {"CODE": str(code), "SLURM_RESTART_COUNT": restarts}
    _, ended, notes = submit(env, str(tmp_path / "run"))
    assert ended == code
    assert notes == (["requeue", "1234"] if queued else [])


def test_the_script_of_slurm_asks_for_what_lightning_wants():
    """Lightning refuses `--ntasks`, and saves and requeues where the tasks, not the script, get the signal."""
    options = [line.split()[1] for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH")]
    assert "--requeue" in options
    assert any(option.startswith("--ntasks-per-node=") for option in options)
    assert any(option.startswith("--signal=SIGUSR1@") for option in options)


@pytest.mark.nightly
def test_torchrun_starts_two_processes(tmp_path, port):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    folder = ["--run.folder", str(tmp_path / "run"), "--trainer.max_steps", "2"]
    subprocess.run([*torchrun, "-m", "vrft_pl", "fit", *CONFIGS, *SHORT, *folder], check=True, timeout=600)
    assert RunFolder(tmp_path / "run").finished


@pytest.mark.nightly
def test_slurm_saves_and_queues_again_and_the_next_start_goes_on(tmp_path, port):
    """SIGUSR1 to every task, as `--signal` sends it, and then the same job again."""
    env, run = slurm(tmp_path, port), tmp_path / "run"
    command = ["bash", str(SCRIPT), str(run), *CONFIGS, *SHORT, "--trainer.max_steps"]
    job = subprocess.Popen([*command, "1000"], env=env, start_new_session=True)
    try:
        until(lambda: (run / "metrics.csv").is_file(), job)
        for task in tasks(run):
            os.kill(task, signal.SIGUSR1)
        assert job.wait(300) == 128 + signal.SIGUSR1
    finally:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    assert Path(env["SCONTROL_NOTES"]).read_text() == "requeue 1234\n"
    subprocess.run([*command, "40"], env=env, check=True, timeout=600)
    starts = json.loads((run / "manifest.json").read_text())["starts"]
    assert [start["checkpoint"] is None for start in starts] == [True, False]
    assert re.fullmatch(r"step=\d+\.ckpt", Path(starts[1]["checkpoint"]).name)


def until(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.5)


def tasks(run):
    """Processes of `vrft_pl` that train into a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        words = (process / "cmdline").read_bytes().split(b"\0") if (process / "cmdline").exists() else []
        if b"vrft_pl" in words and str(run).encode() in words and b"srun" not in words[1]:
            found.append(int(process.name))
    return found

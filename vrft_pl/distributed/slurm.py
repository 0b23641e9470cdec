"""What SLURM is told when it ends a job before the run is done."""

from __future__ import annotations

import os
import signal
import subprocess

from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch import Trainer

SECONDS = 60.0
"""How long to wait for its answer."""


def requeue_signal(trainer: Trainer) -> signal.Signals | None:
    """What SLURM announces the end of a job with; ``None`` outside of one, or where it is not queued again."""
    environment = trainer._accelerator_connector.cluster_environment
    if not isinstance(environment, SLURMEnvironment) or not environment.auto_requeue:
        return None
    return environment.requeue_signal


def queue_again() -> bool:
    """Put the job of this process in the queue again; whether SLURM has taken it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    try:
        return subprocess.run(["scontrol", "requeue", job], check=False, timeout=SECONDS).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False

"""Stands in for SLURM: ``srun``, which starts each task with its variables, and ``scontrol``, which takes notes."""

import os
import sys
from pathlib import Path

SRUN = """#!{python}
import os, subprocess, sys
command = sys.argv[1:]
while command[0].startswith("--"):
    command = command[1:]
count = int(os.environ["SLURM_NTASKS"])
ranks = [{{"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}} for i in range(count)]
tasks = [subprocess.Popen([sys.executable, "-m", *command], env=os.environ | rank) for rank in ranks]
sys.exit(max(task.wait() % 256 for task in tasks))
"""
SCONTROL = '#!/bin/sh\necho "$@" >> "$SCONTROL_NOTES"\n'


def slurm(folder: Path, port: int, tasks: int = 2) -> dict[str, str]:
    """Variables of a job whose ``srun`` and ``scontrol`` lie in a folder."""
    for name, text in {"srun": SRUN.format(python=sys.executable), "scontrol": SCONTROL}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    job = {"JOB_ID": "1234", "JOB_NAME": "vrft_pl", "NNODES": "1", "NODEID": "0", "NODELIST": "localhost"}
    job |= {"NTASKS": str(tasks), "NTASKS_PER_NODE": str(tasks)}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    here = {"PATH": path, "SCONTROL_NOTES": str(folder / "notes"), "MASTER_PORT": str(port), "MASTER_ADDR": "127.0.0.1"}
    return {**os.environ, **here, **{f"SLURM_{name}": value for name, value in job.items()}}

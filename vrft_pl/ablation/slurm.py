"""An ablation as a SLURM array: a task a cell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

SCRIPT = """#!/bin/bash
#SBATCH --job-name="{name}"
#SBATCH --array=0-{last}
#SBATCH --output="{output}"
#SBATCH --requeue
{options}
# a task whose cell needs what another one is at waits for it; one that is finished does nothing
exec {command} --cell "$SLURM_ARRAY_TASK_ID"
"""


def array_script(name: str, folder: Path, cells: int, command: Sequence[str], options: Sequence[str] = ()) -> str:
    """Write the script of an array job.

    Args:
        name: Of the ablation.
        folder: Its folder.
        cells: How many there are.
        command: The command that carries out one of them, but for its number.
        options: Options of ``sbatch``, such as ``--gpus=1``.
    """
    lines = "\n".join(f"#SBATCH {option}" for option in options)
    output = str(folder.absolute() / "slurm").replace("%", "%%") + "/%a.out"
    called = name.replace('"', "'")
    return SCRIPT.format(name=called, last=cells - 1, output=output, options=lines, command=shlex.join(command))

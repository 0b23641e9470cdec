"""Weak scaling: seconds of rollout and update of two processes against one, each with as many prompts.

One process, then two, in turn, so that whatever else the machine does meets both. A ratio of 1 is perfect; each process
needs a core of its own. Beside it stands that of the model of `tools/plan_scale.py`, to which nothing is fitted here.

python tools/bench_scaling.py --steps 12 --rounds 2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from scale.calibration import CPU, CPU_SHARES
from scale.terms import ring_seconds

from vrft_pl.policy import VLM
from vrft_pl.runs import RunFolder

ROOT = Path(__file__).parents[1]
FIT = [sys.executable, "-m", "vrft_pl", "fit", "--config", str(ROOT / "configs/quickstart.yaml")]
FIT += ["--run.wandb", "off", "--export.enabled", "false", "--trainer.enable_progress_bar", "false"]
FIT += ["--run.evaluate_before", "false", "--run.evaluate_after", "false", "--val_subset.times", "0"]
LAYERS = {1: "cpu.yaml", 2: "cpu_ddp2.yaml"}
PHASES = ("rollout", "update")
WARMUP = 2
"""First steps, which are left out."""

Seconds = Mapping[str, list[float]]
"""Of each step, by phase."""


def measure(processes: int, steps: int, prompts: int) -> dict[str, list[float]]:
    """Train and read what the first process logged.

    Args:
        processes: 1 or 2.
        steps: Optimizer steps, those of the warm-up among them.
        prompts: Of each process in a step.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [*FIT, "--config", str(ROOT / "configs/hardware" / LAYERS[processes]), "--run.folder", folder]
        command += ["--trainer.max_steps", str(steps), "--data.init_args.batch_size", str(prompts)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
        rows = [row for row in RunFolder(folder).metrics() if "time/update" in row]
        return {phase: [float(row[f"time/{phase}"]) for row in rows[WARMUP:]] for phase in PHASES}


def modelled(one: Seconds, parameters: int) -> dict[str, float]:
    """The ratio that the model has: each process has the work of one, and averages gradients in float32 once a step."""
    averaging = 2 * ring_seconds(4 * parameters, CPU, 2, CPU_SHARES)
    return {"rollout": 1.0, "update": 1 + averaging / median(one["update"])}


def table(one: Seconds, two: Seconds, model: Mapping[str, float]) -> str:
    """Medians, and their ratio, as Markdown.

    Example:
        >>> one, two = {"rollout": [1.0], "update": [2.0]}, {"rollout": [1.0, 1.2], "update": [2.5]}
        >>> print(table(one, two, {"rollout": 1.0, "update": 1.04}))
        | phase | one process | two processes | ratio | ratio by model | steps |
        |---|---|---|---|---|---|
        | rollout | 1.000 s | 1.100 s | 1.10 | 1.00 | 1 + 2 |
        | update | 2.000 s | 2.500 s | 1.25 | 1.04 | 1 + 1 |
    """
    lines = [
        "| phase | one process | two processes | ratio | ratio by model | steps |",
        "|---|---|---|---|---|---|",
    ]
    for phase in PHASES:
        a, b = median(one[phase]), median(two[phase])
        steps = f"{len(one[phase])} + {len(two[phase])}"
        lines.append(f"| {phase} | {a:.3f} s | {b:.3f} s | {b / a:.2f} | {model[phase]:.2f} | {steps} |")
    return "\n".join(lines)


def main(args: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="optimizer steps of a run")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each")
    parser.add_argument("--prompts", type=int, default=4, help="prompts of a process in a step")
    options = parser.parse_args(args)
    seconds: dict[int, dict[str, list[float]]] = {n: {phase: [] for phase in PHASES} for n in LAYERS}
    for _ in range(options.rounds):
        for processes, found in seconds.items():
            for phase, values in measure(processes, options.steps, options.prompts).items():
                found[phase] += values
    parameters = sum(p.numel() for p in VLM("tiny").load().parameters())
    print(table(seconds[1], seconds[2], modelled(seconds[1], parameters)))


if __name__ == "__main__":
    main()

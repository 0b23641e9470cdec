"""Learning curves of vrft_pl and of TRL's `GRPOTrainer` on the quickstart: same weights, rows, reward and settings.

Each run is a process of its own, the sides in turn. Needs `pip install -e '.[bench]'`.

python tools/learning_curve.py --output experiments/against_trl
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

SIDES = {"trl": ("TRL", "tab:orange"), "ours": ("vrft_pl", "tab:blue")}
SMOOTHED = 5
"""Optimizer steps that a point of the reward's curve is the mean of."""


def run_side(side: str, seed: int, steps: int) -> dict[str, Any]:
    """Train in a process of its own.

    Returns:
        ``rewards`` and ``seconds`` of each optimizer step, the latter summed, and ``accuracy`` by optimizer step.

    Raises:
        RuntimeError: If it fails, with the end of what it printed.
    """
    worker = Path(__file__).parent / "bench" / f"curve_{side}.py"
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "curve.json"
        command = [sys.executable, str(worker), str(seed), str(steps), str(output)]
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{process.stderr[-3000:]}")
        return json.loads(output.read_text())


def compare(runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Hold the sides against each other: Welch's interval of the difference, the ratio of seconds.

    Args:
        runs: Runs of each side, one a seed.

    Returns:
        A row a quantity: its mean on each side, and the difference with its 95 % interval where there are two seeds.
    """
    last = max(int(step) for step in runs["ours"][0]["accuracy"])
    quantities = {
        "mean reward of all completions": lambda run: float(np.mean(run["rewards"])),
        "mean held-out accuracy along the way": lambda run: float(np.mean(list(run["accuracy"].values()))),
        f"held-out accuracy after {last} steps": lambda run: run["accuracy"][str(last)],
        "seconds of training": lambda run: run["seconds"][-1],
    }
    rows = []
    for name, read in quantities.items():
        ours, trl = ([read(run) for run in runs[side]] for side in ("ours", "trl"))
        row: dict[str, Any] = {"quantity": name, "ours": float(np.mean(ours)), "trl": float(np.mean(trl))}
        if len(ours) > 1:
            interval = stats.ttest_ind(ours, trl, equal_var=False).confidence_interval()
            row |= {"difference": row["ours"] - row["trl"], "low": float(interval.low), "high": float(interval.high)}
        rows.append(row)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table of what `compare` found."""
    lines = ["| | vrft_pl | TRL | difference, 95 % |", "|---|---|---|---|"]
    for row in rows:
        digits = 1 if row["quantity"].startswith("seconds") else 3
        numbers = f"{row['ours']:.{digits}f} | {row['trl']:.{digits}f}"
        told = "" if "low" not in row else (
            f"{row['difference']:+.{digits}f} [{row['low']:+.{digits}f}, {row['high']:+.{digits}f}]"
        )  # fmt: skip
        lines.append(f"| {row['quantity']} | {numbers} | {told} |")
    return "\n".join(lines)


def draw(runs: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw reward and accuracy by steps, and accuracy by seconds of training: a line a seed, and the mean."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    by_step, held_out, by_seconds = panels
    for side, (name, colour) in SIDES.items():
        rewards = np.array([np.convolve(run["rewards"], np.ones(SMOOTHED) / SMOOTHED, "valid") for run in runs[side]])
        steps = np.arange(rewards.shape[1]) + (SMOOTHED + 1) / 2
        looks = [int(step) for step in runs[side][0]["accuracy"]]
        accuracy = np.array([list(run["accuracy"].values()) for run in runs[side]])
        seconds = np.array([[0.0, *(run["seconds"][step - 1] for step in looks[1:])] for run in runs[side]])
        for axes, x, y in (
            (by_step, np.broadcast_to(steps, rewards.shape), rewards),
            (held_out, np.broadcast_to(looks, accuracy.shape), accuracy),
            (by_seconds, seconds, accuracy),
        ):
            for of_seed, values in zip(x, y, strict=True):
                axes.plot(of_seed, values, color=colour, alpha=0.3, lw=0.8)
            axes.plot(x.mean(axis=0), y.mean(axis=0), color=colour, lw=2, label=name)
    by_step.set(xlabel="optimizer steps of 128 completions", ylabel=f"training reward (mean of {SMOOTHED} steps)")
    held_out.set(xlabel="optimizer steps of 128 completions", ylabel="held-out accuracy, greedy")
    by_seconds.set(xlabel="seconds of training, evaluation left out", ylabel="held-out accuracy, greedy")
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.set_xlim(0)
    by_step.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run both sides, and write ``curves.json`` and ``curves.png``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder")
    args = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for seed in args.seeds:
        for side in SIDES:
            runs[side].append(run := run_side(side, seed, args.steps))
            print(f"seed {seed}, {side}: {run['seconds'][-1]:.1f} s, {list(run['accuracy'].values())[-1]:.3f}")
    rows = compare(runs)
    args.output.mkdir(parents=True, exist_ok=True)
    versions = {name: version(name) for name in ("torch", "transformers", "trl")} | {
        "python": platform.python_version()
    }
    told = {"versions": versions, "seeds": args.seeds, "compared": rows, "runs": runs}
    (args.output / "curves.json").write_text(json.dumps(told) + "\n")
    draw(runs, args.output / "curves.png")
    print(markdown(rows))


if __name__ == "__main__":
    main()

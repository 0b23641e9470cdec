"""The quickstart with each preset of `configs/algorithms`: what it learns, how fast, and what it keeps.

Each run is an ordinary `vrft_pl fit` in this process; one that is there is not made again. Losses differ off policy
alone, so those are run with four updates a window, beside the quickstart's own loss with as many.

python tools/compare_algorithms.py --output experiments/algorithms
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import platform
import time
import warnings
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from vrft_pl.__main__ import main as vrft_pl
from vrft_pl.runs import RunFolder

ROOT = Path(__file__).parents[1]
OFF_POLICY = ["--model.init_args.window", "4"]
"""Four optimizer steps a window, as GSPO's paper has."""
ON = ("quickstart", "dr_grpo", "lite_ppo", "maxrl", "gdpo", "high_entropy", "rloo", "reinforce_pp", "unbiased_kl",
      "dapo", "entropy_bonus", "grpo", "reinforce_pp_baseline")  # fmt: skip
OFF = ("quickstart", "cispo", "sapo", "gspo", "dual_clip")
"""Not GSPO-token, whose gradient is that of GSPO where tokens count alike."""
ARMS = {**{name: (name, []) for name in ON}, **{f"{name}, 4 updates": (name, OFF_POLICY) for name in OFF}}
"""Of each arm its preset and its options."""
HELD_OUT = {"ood_snow": "snow", "id": "base"}
"""Domain of each held-out part: the one that is trained on, and that of the cold start."""
SMOOTHED = 10
"""Optimizer steps that a point of the curve is the mean of."""
QUIET = ["--run.wandb", "off", "--run.evaluate_before", "false", "--run.constants", "false", "--val_subset.times", "0"]
QUIET += ["--trainer.enable_progress_bar", "false", "--predictions.in_fit", "false"]


def run(arm: str, seed: int, folder: Path, steps: int) -> None:
    """Train one cell, from the newest checkpoint where it was interrupted."""
    preset, options = ARMS[arm]
    layers = ["configs/quickstart.yaml", *([] if preset == "quickstart" else [f"configs/algorithms/{preset}.yaml"])]
    stack = [word for layer in layers for word in ("--config", str(ROOT / layer))]
    scenes = "vrft_pl.data.CountingScenes"
    parts = {
        part: {"class_path": scenes, "init_args": {"domain": name, "size": 384}} for part, name in HELD_OUT.items()
    }
    held_out = ["--data.init_args.val", json.dumps(parts)]
    length = ["--trainer.max_steps", str(steps), "--seed_everything", str(seed), "--run.folder", str(folder)]
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    resume = ["--resume"] if folder.exists() else []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        vrft_pl(["fit", *stack, *options, *QUIET, *held_out, *length, *resume])


def read(folder: RunFolder) -> dict[str, Any]:
    """What a run says of itself.

    Returns:
        ``accuracy`` of the samples of each optimizer step, the largest ``clipped`` share, the last ``entropy``, and
        greedy accuracy on each held-out part.
    """
    rows = [row for row in folder.metrics() if row.get("train/reward/NumberMatch")]
    column = lambda name: [round(float(row[name]), 4) for row in rows if row.get(name)]  # noqa: E731
    summary = folder.summary()
    return {
        "accuracy": column("train/reward/NumberMatch"),
        "clipped": max(column("train/clip_fraction"), default=0.0),
        "entropy": column("train/entropy")[-1],
        **{part: round(summary["after"][f"val/{part}/NumberMatch"], 4) for part in HELD_OUT},
    }


def markdown(cells: dict[str, dict[str, Any]], seeds: list[int]) -> str:
    """A row an arm: its mean over the seeds that are there, and the paired difference from the quickstart's loss."""
    lines = ["| method | `ood_snow` (trained on) | less the quickstart's | `id` | entropy | clipped | CPU s |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for arm in ARMS:
        base = "quickstart, 4 updates" if "4 updates" in arm else "quickstart"
        there = [seed for seed in seeds if f"{arm}/{seed}" in cells and f"{base}/{seed}" in cells]
        if not there:
            continue
        found = [cells[f"{arm}/{seed}"] for seed in there]
        less = [own["ood_snow"] - cells[f"{base}/{seed}"]["ood_snow"] for own, seed in zip(found, there, strict=True)]
        told = "" if arm == base else f"{np.mean(less):+.3f} ({min(less):+.3f} to {max(less):+.3f})"
        snow, home, entropy, clipped, seconds = (
            float(np.mean([cell[key] for cell in found])) for key in (*HELD_OUT, "entropy", "clipped", "seconds")
        )
        own = ", ".join(f"{cell['ood_snow']:.3f}" for cell in found)
        lines.append(
            f"| {arm} | {snow:.3f} ({own}) | {told} | {home:.3f} | {entropy:.3f} | {clipped:.3f} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def draw(cells: dict[str, dict[str, Any]], seeds: list[int], path: Path) -> None:
    """Accuracy on fresh rows while training: the mean over seeds of each arm, on and off policy apart."""
    figure, panels = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True, layout="constrained")
    for axes, off in zip(panels, (False, True), strict=True):
        arms = [arm for arm in ARMS if ("4 updates" in arm) == off and f"{arm}/{seeds[0]}" in cells]
        for i, arm in enumerate(arms):
            there = [f"{arm}/{seed}" for seed in seeds if f"{arm}/{seed}" in cells]
            curves = np.array([cells[name]["accuracy"] for name in there])
            mean = np.convolve(curves.mean(axis=0), np.ones(SMOOTHED) / SMOOTHED, "valid")
            first = arm.startswith("quickstart")
            colour, style = ("black", "-") if first else (f"C{i % 10}", "-" if i < 10 else "--")
            steps = np.arange(len(mean)) + (SMOOTHED + 1) / 2
            axes.plot(steps, mean, style, color=colour, lw=2 if first else 1.2, label=arm.removesuffix(", 4 updates"))
        axes.set(xlabel="optimizer steps", title="four updates a window" if off else "on policy")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, ncols=2)
    panels[0].set_ylabel(f"accuracy of samples, mean of {SMOOTHED} steps")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run what is not there yet, and write ``results.json``, ``curves.png`` and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps")
    parser.add_argument("--runs", type=Path, default=Path("runs/algorithms"), help="where the runs are kept")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    args.output.mkdir(parents=True, exist_ok=True)
    results = args.output / "results.json"
    cells = json.loads(results.read_text())["cells"] if results.exists() else {}
    for seed, arm in product(args.seeds, ARMS):
        if (name := f"{arm}/{seed}") in cells:
            continue
        folder = args.runs / name.replace(", ", "_").replace(" ", "_")
        spent = time.process_time()
        if not RunFolder(folder).finished:
            run(arm, seed, folder, args.steps)
        cells[name] = read(RunFolder(folder)) | {"seconds": round(time.process_time() - spent, 1)}
        versions = {name: version(name) for name in ("torch", "transformers")} | {"python": platform.python_version()}
        results.write_text(json.dumps({"versions": versions, "steps": args.steps, "cells": cells}) + "\n")
        print(f"{name}: {cells[name]['ood_snow']:.3f}, {cells[name]['seconds']:.0f} s", flush=True)
        draw(cells, args.seeds, args.output / "curves.png")
    print(markdown(cells, args.seeds))


if __name__ == "__main__":
    main()

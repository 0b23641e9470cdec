"""Held-out accuracy by generated tokens: plain GRPO, dynamic sampling, curriculum, and both, on the quickstart.

python experiments/data_in_the_loop/compare.py --output runs/data_in_the_loop

Goes on where it was stopped: a run that has left its curve is not done again, one that was interrupted resumes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from scipy import stats

from vrft_pl.__main__ import main
from vrft_pl.callbacks import CostMeter

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
ARMS = {
    "plain": (),
    "dynamic sampling": ("dynamic_sampling",),
    "curriculum": ("curriculum",),
    "both": ("curriculum", "dynamic_sampling"),
}
"""Layers of each arm."""
STEPS = {"plain": 100, "dynamic sampling": 50, "curriculum": 100, "both": 50}
"""Optimizer steps of each arm. One with dynamic sampling generates more than twice as much in a step."""
NAME = "val/ood_snow/NumberMatch"


class Curve(Callback):
    """Writes step, tokens generated for training and held-out accuracy of each evaluation into the run's folder."""

    def __init__(self) -> None:
        self.points: list[list[float]] = []

    def state_dict(self) -> dict[str, Any]:
        """The points so far."""
        return {"points": list(self.points)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.points = list(state_dict["points"])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take a point."""
        meter = next(callback for callback in trainer.callbacks if isinstance(callback, CostMeter))
        tokens = meter.training.generated_tokens
        self.points.append([trainer.global_step, tokens, float(trainer.callback_metrics[NAME])])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the curve."""
        trainer.run_folder.write("curve.json", self.points)


def run(arm: str, seed: int, folder: Path) -> list[list[float]]:
    """Train an arm, or read what it left. Returns its curve."""
    if not (folder / "curve.json").exists():
        layers = [HERE / "quickstart_400.yaml", *(CONFIGS / f"in_the_loop/{name}.yaml" for name in ARMS[arm])]
        configs = [word for path in (CONFIGS / "quickstart.yaml", *layers) for word in ("--config", str(path))]
        options = ["--seed_everything", str(seed), "--trainer.max_steps", str(STEPS[arm])]
        main(["fit", *configs, *options, "--run.folder", str(folder), "--resume"])
    return json.loads((folder / "curve.json").read_text())


def at(curve: list[list[float]], tokens: float) -> float:
    """Accuracy after so many generated tokens, between two evaluations by a straight line; NaN behind the last."""
    _, spent, accuracy = np.array(curve).T
    return float(np.interp(tokens, spent, accuracy, right=np.nan))


def interval(values: list[float]) -> str:
    """Mean and half of its 95 % interval of Student's t."""
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1) if len(values) > 1 else float("nan")
    return f"{np.mean(values):.3f} ± {half:.3f}"


def table(curves: dict[str, dict[int, list[list[float]]]]) -> str:
    """Accuracy of each arm at shares of the tokens that all arms of a seed generated, and against plain GRPO."""
    seeds = sorted(set.intersection(*(set(own) for own in curves.values())))
    spent_by_all = [min(own[s][-1][1] for own in curves.values()) for s in seeds]
    budgets = {share: [share * spent for spent in spent_by_all] for share in (0.5, 1.0)}
    lines = [
        "| arm | at half of the tokens | at all of them | minus plain | after the last step | thousand tokens |",
        "|---|---|---|---|---|---|",
    ]
    for arm, own in curves.items():
        half, whole = ([at(own[s], budget) for s, budget in zip(seeds, budgets[b], strict=True)] for b in budgets)
        plain = [at(curves["plain"][s], budget) for s, budget in zip(seeds, budgets[1.0], strict=True)]
        gain = "" if arm == "plain" else interval([a - b for a, b in zip(whole, plain, strict=True)])
        last = interval([own[s][-1][2] for s in seeds])
        spent = np.mean([own[s][-1][1] for s in seeds]) / 1000
        lines.append(f"| {arm} | {interval(half)} | {interval(whole)} | {gain} | {last} | {spent:.0f} |")
    return "\n".join([*lines, "", f"Seeds {seeds}."])


if __name__ == "__main__":
    sys.modules["compare"] = sys.modules["__main__"]  # by which the config names the callback
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/data_in_the_loop"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    args = parser.parse_args()
    found: dict[str, dict[int, list[list[float]]]] = {arm: {} for arm in args.arms}
    for seed in range(args.seeds):
        for arm in args.arms:
            found[arm][seed] = run(arm, seed, args.output / f"{arm.replace(' ', '_')}-seed{seed}")
        (args.output / "curves.json").write_text(json.dumps(found))
        print(table(found), flush=True)

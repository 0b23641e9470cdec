"""Trains for long with everything recorded, and looks at whether anything grows that should not.

    python tools/soak.py --steps 2000 --output experiments/soak

One run of the quickstart, whose callback `Meter` writes a row every few optimizer steps into ``soak.csv``. After a
warm-up, memory has to grow by less than 0.5 MB per 100 steps, handles and threads not at all, and what is written by no
more a step than before. ``soak.png`` shows the rows, ``soak.json`` holds the verdict; exit code 1 when it is bad.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from lightning.pytorch import Callback, LightningModule, Trainer
from scipy.stats import theilslopes

ROOT = Path(__file__).parents[1]
MEBIBYTE = 2**20
MOST_GROWTH = 0.5
"""MB of memory per 100 optimizer steps."""
MOST_CONSOLE = 64.0
"""KB that a run may print per 100 optimizer steps into a file."""
QUICKER = 1.2
"""Times that the second half of a run may write as much as the first."""


@dataclass(frozen=True)
class Row:
    """What a process held after an optimizer step."""

    step: int
    seconds: float
    """Since training began."""
    cpu_seconds: float
    """Of the process, since it began."""
    own_mb: float
    """Resident memory of the process."""
    children_mb: float
    """Of all processes below it: workers, and that of W&B."""
    handles: int
    """Files, sockets and pipes that the process has open."""
    threads: int
    """Of the process."""
    children: int
    """Processes below it."""
    checkpoints: int
    """In the run's folder."""
    checkpoints_mb: float
    records_mb: float
    """Of everything else in it."""
    console_kb: float
    """Printed so far."""


class Meter(Callback):
    """Appends a `Row` every few optimizer steps.

    Args:
        output: The CSV file.
        every: Optimizer steps between two rows.
    """

    def __init__(self, output: str, every: int = 10) -> None:
        self.output, self.every = Path(output), every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the file."""
        self._folder, self._start = Path(trainer.log_dir or "."), time.perf_counter()
        self.write([[field.name for field in fields(Row)]], "w")

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Look around."""
        if trainer.global_step % self.every == 0:
            row = measured(trainer.global_step, time.perf_counter() - self._start, self._folder)
            self.write([[*asdict(row).values()]], "a")

    def write(self, rows: list[list[Any]], mode: str) -> None:
        """Write lines of the table.

        Args:
            rows: The cells.
            mode: ``w`` for a new file, ``a`` to append.
        """
        with self.output.open(mode, newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def measured(step: int, seconds: float, folder: Path) -> Row:
    """Look at this process, those below it, and the run's folder."""
    below = descendants(os.getpid())
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    kept = {path: size for path, size in sizes.items() if path.suffix == ".ckpt"}
    total = sum(sizes.values())
    return Row(
        step,
        round(seconds, 2),
        round(time.process_time(), 2),
        resident(os.getpid()),
        sum(resident(pid) for pid in below),
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        len(below),
        len(kept),
        round(sum(kept.values()) / MEBIBYTE, 3),
        round((total - sum(kept.values())) / MEBIBYTE, 3),
        round(os.fstat(1).st_size / 1024, 1),
    )


def descendants(pid: int) -> list[int]:
    """Processes below a process."""
    try:
        texts = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    children = [int(child) for text in texts for child in text.split()]
    return children + [below for child in children for below in descendants(child)]


def resident(pid: int) -> float:
    """MB of memory that a process holds; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE, 2)


def command(steps: int, folder: Path, table: Path, every: int) -> list[str]:
    """The quickstart with everything recorded."""
    args = [sys.executable, "-m", "vrft_pl", "fit", "--config", str(ROOT / "configs/quickstart.yaml")]
    args += ["--run.folder", str(folder), "--run.wandb", "offline", "--trainer.max_steps", str(steps)]
    args += ["--completions.every_n_rollouts", "1", "--val_subset.times", str(max(1, steps // 50))]
    args += ["--trainer.callbacks=vrft_pl.callbacks.StepProfile"]
    args += ["--trainer.callbacks+=vrft_pl.callbacks.RewardHackingAlarm"]
    args += [f"--trainer.callbacks+={Path(__file__).stem}.Meter", f"--trainer.callbacks.output={table.absolute()}"]
    return [*args, f"--trainer.callbacks.every={every}"]


def read(table: Path) -> list[Row]:
    """The rows of a run."""
    with table.open(newline="") as file:
        kinds: dict[str, Any] = {field.name: int if field.type == "int" else float for field in fields(Row)}
        return [Row(**{name: kinds[name](value) for name, value in row.items()}) for row in csv.DictReader(file)]


def slope(rows: Sequence[Row], name: str) -> float:
    """Growth per 100 optimizer steps: the median of the slopes between all pairs of rows (Theil and Sen)."""
    return 100 * float(theilslopes([getattr(row, name) for row in rows], [row.step for row in rows]).slope)


def verdict(rows: Sequence[Row], warm_up: int) -> dict[str, Any]:
    """What the rows say.

    Args:
        rows: Of the whole run.
        warm_up: Optimizer steps that are not looked at.

    Returns:
        Growth per 100 steps, and ``faults``, sentences on what should not be.
    """
    rows = [row for row in rows if row.step >= warm_up]
    half = len(rows) // 2
    parts = rows[: half + 1], rows[half:]
    growth = {name: round(slope(rows, name), 3) for name in ("own_mb", "children_mb", "records_mb", "console_kb")}
    written = [(part[-1].records_mb - part[0].records_mb) / (part[-1].step - part[0].step) for part in parts]
    cpu = [(part[-1].cpu_seconds - part[0].cpu_seconds) / (part[-1].step - part[0].step) for part in parts]
    most = {name: [max(getattr(row, name) for row in part) for part in parts] for name in ("handles", "threads")}
    most["checkpoints"] = [max(row.checkpoints for row in part) for part in parts]
    faults = [
        f"{name} grows by {growth[name]:.2f} MB per 100 steps, {MOST_GROWTH} at most"
        for name in ("own_mb", "children_mb")
        if growth[name] >= MOST_GROWTH
    ]
    faults += [f"{name} grow from {first} to {then}" for name, (first, then) in most.items() if then > first]
    if written[1] > QUICKER * written[0]:
        faults.append(f"a step writes {written[1] * 1024:.0f} KB, and {written[0] * 1024:.0f} KB before")
    if growth["console_kb"] > MOST_CONSOLE:
        faults.append(f"{growth['console_kb']:.0f} KB are printed per 100 steps, {MOST_CONSOLE:.0f} at most")
    return {
        "steps": rows[-1].step,
        "warm_up": warm_up,
        "growth_per_100_steps": growth,
        "most": {name: then for name, (_, then) in most.items()},
        "cpu_seconds_a_step": [round(value, 3) for value in cpu],
        "faults": faults,
    }


def draw(rows: Sequence[Row], told: dict[str, Any], path: Path) -> None:
    """Draw memory, what is open, and what is written, by optimizer steps."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    shown = (
        {"own_mb": "the run's own process", "children_mb": "processes below it"},
        {"handles": "handles", "threads": "threads", "checkpoints": "checkpoints"},
        {"records_mb": "records, MB", "checkpoints_mb": "checkpoints, MB"},
    )
    for axes, names in zip(panels, shown, strict=True):
        for name, label in names.items():
            axes.plot([row.step for row in rows], [getattr(row, name) for row in rows], label=label)
        axes.axvline(told["warm_up"], color="grey", lw=0.8, ls=":")
        axes.set(xlabel="optimizer steps", xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    growth = told["growth_per_100_steps"]["own_mb"]
    panels[0].set(ylabel="resident memory, MB", title=f"{growth:+.2f} MB per 100 steps after the warm-up")
    panels[1].set(ylabel="open at once")
    panels[2].set(ylabel="in the run's folder, MB")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def soak(steps: int, every: int, output: Path) -> int:
    """Carry out the run; returns its exit code, and leaves what it printed beside the table."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}", "WANDB_SILENT": "true"}
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "console").open("w+") as console:
        args = command(steps, Path(scratch) / "run", output / "soak.csv", every)
        code = subprocess.run(args, env=env, stdout=console, stderr=subprocess.STDOUT).returncode
        console.seek(0)
        if code:
            print(console.read()[-3000:], file=sys.stderr)
    return code


def main() -> None:
    """Run, write table, picture and verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps")
    parser.add_argument("--warm_up", type=int, help="steps that are not judged; a quarter by default")
    parser.add_argument("--every", type=int, default=10, help="optimizer steps between two rows")
    parser.add_argument("--output", type=Path, default=Path("experiments/soak"), help="folder")
    parser.add_argument("--again", action="store_true", help="judge the table that is there")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if not args.again and (code := soak(args.steps, args.every, args.output)):
        sys.exit(code)
    rows = read(args.output / "soak.csv")
    told = verdict(rows, args.steps // 4 if args.warm_up is None else args.warm_up)
    (args.output / "soak.json").write_text(json.dumps(told, indent=2) + "\n")
    draw(rows, told, args.output / "soak.png")
    print(json.dumps(told, indent=2))
    sys.exit(bool(told["faults"]))


if __name__ == "__main__":
    main()

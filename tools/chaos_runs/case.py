"""Which runs are killed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHORT = ["--trainer.max_steps", "6", "--trainer.val_check_interval", "3", "--trainer.limit_val_batches", "1"]
SHORT += ["--checkpoint.every_n_train_steps", "2", "--data.init_args.eval_batch_size", "4"]
SHORT += ["--val_subset.num_samples", "6"]
SHORT += ["--trainer.enable_progress_bar", "false", "--run.constants", "false", "--trainer.accelerator", "cpu"]
CONFIGS = {"grpo": "configs/quickstart.yaml", "sft": "configs/counting/sft.yaml"}
BUSY = "600"
"""Seconds that a process may say nothing: the machine does something else too."""
BATCH = 4
"""Prompts of a micro-batch of all processes together."""


@dataclass(frozen=True)
class Case:
    """A cell of the matrix."""

    kind: str
    """``grpo`` or ``sft``."""
    iterations: int
    accumulate: int
    workers: int
    processes: int
    elsewhere: bool
    """Whether the run's folder lies on another file system than temporary files."""

    @property
    def name(self) -> str:
        """For the table."""
        often = f", {self.iterations} iteration{'s' * (self.iterations > 1)}" if self.kind == "grpo" else ""
        processes = f"{self.processes} process{'es' * (self.processes > 1)}"
        place = ", other file system" if self.elsewhere else ""
        return f"{self.kind}{often}, accumulation {self.accumulate}, workers {self.workers}, {processes}{place}"

    def args(self, folder: Path) -> list[str]:
        """Its command line."""
        args = ["fit", "--config", str(ROOT / CONFIGS[self.kind]), *SHORT, "--run.folder", str(folder), "--resume"]
        args += ["--trainer.accumulate_grad_batches", str(self.accumulate)]
        args += ["--data.init_args.batch_size", str(BATCH // self.processes)]
        args += ["--run.wandb", "off" if self.elsewhere else "offline"]
        args += ["--data.init_args.num_workers", str(self.workers)]
        if self.kind == "grpo":
            args += ["--model.init_args.num_iterations", str(self.iterations)]
        if self.processes > 1:
            args += ["--trainer.devices", str(self.processes), "--trainer.strategy", "ddp", "--watchdog.silence", BUSY]
        return args


def matrix() -> list[Case]:
    """All cells; supervised runs have no iterations."""
    cells = itertools.product(("grpo", "sft"), (1, 3), (1, 4), (0, 2), (1, 2), (False, True))
    return [Case(*cell) for cell in cells if cell[0] == "grpo" or cell[1] == 1]

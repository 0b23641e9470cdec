"""One wrong input, and the small run that it is wrong in."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASE: Mapping[str, Any] = {
    "trainer": {
        "accelerator": "cpu",
        "max_steps": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 1,
    },
    "model": {
        "class_path": "vrft_pl.modules.GRPOModule",
        "init_args": {
            "policy": {"class_path": "vrft_pl.policy.VLM", "init_args": {"checkpoint": "tiny"}},
            "rewards": [{"class_path": "vrft_pl.rewards.NumberMatch"}],
            "group_size": 2,
            "params": {"max_tokens": 4},
            "eval_params": {"max_tokens": 4, "temperature": 0.0},
        },
    },
    "data": {
        "class_path": "vrft_pl.data.Counting",
        "init_args": {
            "batch_size": 1,
            "train": {"class_path": "vrft_pl.data.CountingScenes", "init_args": {"size": 4}},
            "val": {"id": {"class_path": "vrft_pl.data.CountingScenes", "init_args": {"size": 4}}},
        },
    },
    "run": {"folder": "run", "wandb": "off", "evaluate_before": False, "evaluate_after": False},
    "export": {"enabled": False},
    "val_subset": {"times": 0},
}
"""A run of one step, a second long, that leaves everything in the folder ``run``."""
Make = Callable[[Path], list[str]]
"""Writes an input into the folder that it is given, where the command is run, and returns the arguments."""
CONFIG = "config.yaml"
"""Where it is written."""


@dataclass(frozen=True)
class Case:
    """A wrong input.

    Args:
        make: Writes it.
        code: What the command should exit with: 2 for arguments, 1 for data, 0 for what is odd and yet right.
        env: Environment of the command.
        closed: Standard streams that are closed, by number.
        leaves: Whether files may stay behind, as after a run that broke while it trained.
        fresh: Whether it needs a process of its own, as what Python reads at its start does.
    """

    make: Make
    code: int = 2
    env: Mapping[str, str] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    leaves: bool = False
    fresh: bool = False


Cases = dict[str, Case]
"""By name: ``kind/input``."""


def base(**changes: Any) -> dict[str, Any]:
    """The config of the small run.

    Args:
        **changes: Values by key, two underscores for a dot: ``data__init_args__batch_size``.
    """
    config: dict[str, Any] = copy.deepcopy(dict(BASE))
    for key, value in changes.items():
        *above, last = key.split("__")
        section = config
        for name in above:
            section = section.setdefault(name, {})
        section[last] = value
    return config


def write_config(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Write a config, as JSON, which is YAML too; returns what names it on the command line."""
    (folder / CONFIG).write_text(json.dumps(config))
    return ["--config", CONFIG]


def fit(*args: str, **changes: Any) -> Make:
    """The small run, with arguments behind its config and values in it."""
    return lambda folder: ["fit", *write_config(folder, base(**changes)), *args]


def reads(data: Mapping[str, Any], write: Callable[[Path], object]) -> Make:
    """The small run on other data.

    Args:
        data: The section of the config.
        write: Writes the files that it reads.
    """

    def make(folder: Path) -> list[str]:
        write(folder)
        return ["fit", *write_config(folder, base(data=data))]

    return make

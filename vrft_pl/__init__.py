"""Visual reinforcement fine-tuning of vision-language models on PyTorch Lightning.

``import vrft_pl`` is enough for all of it: the parts below are imported when they are asked for, and what a config
calls ``vrft_pl.data.Counting`` has this one name in Python too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vrft_pl import algorithms, answers, callbacks, data, metrics, modules, policy, rewards, rollout, types
    from vrft_pl.trainer import RunFolder, Trainer, seed_everything

__version__ = "0.1.0"
__all__ = [
    "RunFolder",
    "Trainer",
    "algorithms",
    "answers",
    "callbacks",
    "data",
    "metrics",
    "modules",
    "policy",
    "rewards",
    "rollout",
    "seed_everything",
    "types",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vrft_pl' has no attribute {name!r}")
    of_runs = name in ("RunFolder", "Trainer", "seed_everything")
    return getattr(import_module("vrft_pl.trainer"), name) if of_runs else import_module(f"vrft_pl.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

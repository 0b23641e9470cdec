"""What the config asks of the trainer, and the trainer that stands in for it while a run is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import Strategy, StrategyRegistry

from vrft_pl.distributed import Shards, read_shards
from vrft_pl.types import InputError

KEPT = (
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "max_steps",
    "max_epochs",
    "max_time",
    "limit_train_batches",
    "limit_val_batches",
)
"""Options of the run's trainer that its stand-in has too; what they mean is Lightning's to say."""
QUIET = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "barebones")


@dataclass(frozen=True)
class TrainerSection:
    """The trainer's section of a config: devices that this machine may lack, and the options of a stand-in."""

    gpu: bool
    """Whether the run is on GPUs."""
    available: bool
    """Whether this machine has them."""
    devices: int
    """Devices of all nodes."""
    strategy: Strategy | str
    """By name or built."""
    precision: str
    options: Mapping[str, Any]
    """Those of the section that do not depend on devices."""
    callbacks: tuple[Callback, ...]
    """Of the run."""

    @staticmethod
    def of(config: Mapping[str, Any]) -> TrainerSection:
        """Read the section, its classes built.

        Raises:
            InputError: If the strategy is none of Lightning's.
        """
        accelerator, cuda = config.get("accelerator") or "auto", torch.cuda.device_count()
        gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and cuda > 0)
        own = count_devices(config.get("devices"), cuda if gpu else 1)
        strategy, names = config.get("strategy") or "auto", ["auto", *StrategyRegistry.available_strategies()]
        if isinstance(strategy, str) and strategy not in names:
            raise InputError(f"Expected `trainer.strategy` to be one of {', '.join(names)}, but got {strategy!r}.")
        return TrainerSection(
            gpu=gpu,
            available=not gpu or cuda >= own,
            devices=own * int(config.get("num_nodes") or 1),
            strategy=strategy,
            precision=str(config.get("precision") or "32-true"),
            options={name: config[name] for name in KEPT if config.get(name) is not None},
            callbacks=tuple(config.get("callbacks") or ()),
        )

    @property
    def strategy_name(self) -> str:
        """For people to read."""
        return self.strategy if isinstance(self.strategy, str) else type(self.strategy).__name__

    @property
    def shards(self) -> Shards:
        """What the strategy spreads over the devices."""
        return read_shards(self.strategy, self.devices, self.precision)

    def stand_in(self, **options: Any) -> Trainer:
        """A trainer that does the same on one device of this machine and leaves nothing behind.

        Args:
            **options: In place of those of the section.
        """
        accelerator = "gpu" if self.gpu and torch.cuda.is_available() else "cpu"
        quiet = dict.fromkeys(QUIET, False)
        return Trainer(**{"accelerator": accelerator, "devices": 1, **quiet, **self.options, **options})


def count_devices(devices: Any, all_of_them: int) -> int:
    """Number of devices that an argument of the trainer means.

    Example:
        >>> [count_devices(value, 8) for value in ("auto", -1, 2, "4", [0, 3], "0,1,2")]
        [8, 8, 2, 4, 2, 3]
    """
    if isinstance(devices, str):
        devices = devices.strip()
        devices = devices.split(",") if "," in devices else -1 if devices == "auto" else int(devices)
    if devices is None or devices == -1:
        return max(1, all_of_them)
    return len(devices) if isinstance(devices, list | tuple) else int(devices)

"""What the config asks of the trainer: devices, sharding, precision, length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.strategies import Strategy

from vrft_pl.distributed import Shards, read_shards


@dataclass(frozen=True)
class Plan:
    """The run that is checked, as its trainer would carry it out."""

    gpu: bool
    """Whether it runs on GPUs."""
    available: bool
    """Whether this machine has them."""
    devices: int
    """Devices of all nodes."""
    strategy: Strategy | str
    """By name or built."""
    shards: Shards
    precision: str
    accumulate: int
    """Micro-batches of one optimizer step."""
    max_steps: int
    """-1 where epochs end the run."""
    max_epochs: int
    """-1 where steps end the run."""
    train_batches: int | float
    """Micro-batches of an epoch that are used, or their share (``limit_train_batches``)."""
    clip: float | None
    """Largest norm of the gradients."""
    validates: bool
    """Whether held-out batches are used (``limit_val_batches``)."""

    @property
    def strategy_name(self) -> str:
        """For people to read."""
        return self.strategy if isinstance(self.strategy, str) else type(self.strategy).__name__

    @staticmethod
    def of(config: dict[str, Any]) -> Plan:
        """Read the trainer's section of a config, its classes built."""
        accelerator, cuda = config.get("accelerator") or "auto", torch.cuda.device_count()
        gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and cuda > 0)
        own = count_devices(config.get("devices"), cuda if gpu else 1)
        devices = own * int(config.get("num_nodes") or 1)
        strategy = config.get("strategy") or "auto"
        precision = str(config.get("precision") or "32-true")
        max_steps, max_epochs = config.get("max_steps"), config.get("max_epochs")
        steps = -1 if max_steps is None else int(max_steps)
        limit = config.get("limit_train_batches")
        return Plan(
            gpu=gpu,
            available=not gpu or cuda >= own,
            devices=devices,
            strategy=strategy,
            shards=read_shards(strategy, devices, precision),
            precision=precision,
            accumulate=int(config.get("accumulate_grad_batches") or 1),
            max_steps=steps,
            max_epochs=(1000 if steps < 0 else -1) if max_epochs is None else int(max_epochs),
            train_batches=1.0 if limit is None else int(limit) if limit > 1 else limit,
            clip=config.get("gradient_clip_val"),
            validates=config.get("limit_val_batches") != 0,
        )

    def alone(self, **options: Any) -> dict[str, Any]:
        """Arguments of a trainer that does the same on one device and leaves nothing behind."""
        quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "barebones")
        return {
            "accelerator": "gpu" if self.gpu and torch.cuda.is_available() else "cpu",
            "devices": 1,
            "precision": self.precision,
            "accumulate_grad_batches": self.accumulate,
            "gradient_clip_val": self.clip,
            **dict.fromkeys(quiet, False),
            **options,
        }


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

"""How many optimizer steps use up a budget."""

from __future__ import annotations

from itertools import accumulate
from math import ceil
from typing import Any

from vrft_pl.ablation.sections import Config
from vrft_pl.types import InputError


def steps_of(samples: float, rows: int, config: Config) -> int:
    """Optimizer steps after which a run has seen nearest to a number of samples, and at least one.

    The last batch of an epoch has what is left of the rows, and the last step of an epoch the batches that are left.
    Reinforcement sees the samples of a window when it begins, and trains on them ``num_iterations`` times.

    Args:
        samples: Prompts, a row counted each time.
        rows: Rows that are trained on.
        config: Of the run.

    Example:
        >>> config = {"trainer": {}, "model": {"init_args": {}}, "data": {"init_args": {"batch_size": 16}}}
        >>> steps_of(768, 64, config), steps_of(768, 17, config)
        (48, 90)
    """
    seen = seen_by_step(rows, config)
    epochs, left = divmod(samples, seen[-1])
    full = int(epochs) * len(seen)
    # of steps that are as near, the last: a window is trained on as often as it is meant to be
    extra = min(range(len(seen) + 1), key=lambda i: (abs((seen[i - 1] if i else 0) - left), -i))
    return max(1, full + extra)


def seen_by_step(rows: int, config: Config) -> list[int]:
    """Samples that were seen by the end of each optimizer step of an epoch, over all ranks."""
    trainer, arguments = config["trainer"], config["model"].get("init_args", {})
    ranks, together = processes(trainer), int(trainer.get("accumulate_grad_batches", 1))
    batch = int(config["data"]["init_args"].get("batch_size", 4))
    share = ceil(rows / ranks)
    batches = [min(batch, share - first) * ranks for first in range(0, share, batch)]
    window, times = int(arguments.get("window") or together), int(arguments.get("num_iterations", 1))
    fresh = []
    for first in range(0, len(batches), window):
        of_window = batches[first : first + window]
        fresh += [sum(of_window), *[0] * (len(of_window) * times - 1)]
    steps = [sum(fresh[first : first + together]) for first in range(0, len(fresh), together)]
    return list(accumulate(steps))


def processes(trainer: dict[str, Any]) -> int:
    """Processes of a run, as its config says.

    Raises:
        InputError: If it says "as many devices as there are": arms would not get the same on every machine.

    Example:
        >>> processes({"devices": 2, "num_nodes": 3}), processes({"devices": "0,1"}), processes({})
        (6, 2, 1)
    """
    devices = trainer.get("devices", 1)
    if isinstance(devices, str) and "," in devices:
        devices = [part for part in devices.split(",") if part.strip()]
    try:
        each = len(devices) if isinstance(devices, list) else int(devices)
    except (TypeError, ValueError):
        each = 0
    if each < 1:
        raise InputError(
            f"Expected `trainer.devices` of an ablation to be a number of devices or a list, but got {devices!r}."
        )
    return each * int(trainer.get("num_nodes", 1))

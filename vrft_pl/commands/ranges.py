"""Values of options that their type allows and nothing can be done with."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Formatter
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import Any

import torch

from vrft_pl.modules import PolicyModule

MOST_PROCESSES = max(8, os.cpu_count() or 1)
"""Of one machine, where each takes a core."""


def _at_least(least: float) -> Callable[[Any], bool]:
    return lambda value: math.isfinite(value) and value >= least


def _above_zero(value: Any) -> bool:
    return not isinstance(value, int | float) or (math.isfinite(value) and value > 0)


RANGES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "seed_everything": ("from 0 to 4294967295", lambda value: 0 <= value < 2**32),
    "trainer.accumulate_grad_batches": ("at least 1 batch", _at_least(1)),
    "trainer.val_check_interval": ("above 0; `trainer.limit_val_batches: 0` leaves validation out", _above_zero),
    "trainer.check_val_every_n_epoch": ("at least 1 epoch, or null to count steps", _at_least(1)),
    "trainer.num_sanity_val_steps": ("0 or more batches, or -1 for all", _at_least(-1)),
    "trainer.log_every_n_steps": ("0 or more steps", _at_least(0)),
    "trainer.reload_dataloaders_every_n_epochs": ("0 or more epochs", _at_least(0)),
    "trainer.limit_train_batches": ("above 0; `vrft_pl validate` trains nothing", _above_zero),
    "trainer.min_steps": ("0 or more steps", _at_least(0)),
    "trainer.min_epochs": ("0 or more epochs", _at_least(0)),
    "trainer.num_nodes": ("at least 1 machine", _at_least(1)),
    "trainer.gradient_clip_val": ("0 or more, and finite", _at_least(0)),
    "watchdog.timeout": ("above 0 seconds", _above_zero),
    "watchdog.silence": ("above 0 seconds", _above_zero),
    "watchdog.arrival": ("above 0 seconds", _above_zero),
    "checkpoint.filename": ("a name with fields such as {step} or {val/id/BoxIoU:.2f}", lambda name: is_template(name)),
    "model.init_args.group_size": ("at most 65536 completions", lambda value: value <= 65536),
    "checkpoint.every_n_train_steps": ("0 or more steps", _at_least(0)),
    "checkpoint.every_n_epochs": ("0 or more epochs", _at_least(0)),
}
"""By key, what its value should be; ``null`` always may stand there."""
SECTIONS = ("trainer", "run", "completions", "predictions", "val_subset", "export", "checkpoint", "watchdog")
"""Keys that hold others."""
PATHS = ("run.folder", "checkpoint.dirpath", "trainer.default_root_dir", "ckpt_path")
"""Keys whose values are paths."""


def out_of_range(values: Mapping[str, Any]) -> str | None:
    """Say of the first value that is out of its range what was expected.

    Args:
        values: By dotted key.

    Example:
        >>> out_of_range({"seed_everything": -1})
        'Expected `seed_everything` to be from 0 to 4294967295, but got -1.'
    """
    for key, (expected, fits) in RANGES.items():
        value = values.get(key)
        if value is not None and not isinstance(value, bool) and not fits(value):
            return f"Expected `{key}` to be {expected}, but got {value}."
    for key in SECTIONS:
        if key in values:
            return f"Expected `{key}` to be a section of keys and values, but got {str(values[key])[:60]!r}."
    for key in PATHS:
        if isinstance(path := values.get(key), str) and not is_path(path):
            return f"Expected `{key}` to be a path, but got {path[:100]!r}."
    devices = values.get("trainer.devices")
    if isinstance(devices, str) and devices != "auto" and not re.fullmatch(r"-?\d+(\s*,\s*\d+)*,?", devices):
        return f"Expected `trainer.devices` to be a number of devices, a list of them or auto, but got {devices!r}."
    return too_many(values.get("trainer.accelerator"), devices)


def refuse_unusable(module: object) -> None:
    """Try what a module makes of its options when training starts.

    Raises:
        ValueError: If it can't be made, or the policy's context has no room for a completion.
    """
    if not isinstance(module, PolicyModule):
        return
    optimizer = module.optimizer([torch.nn.Parameter(torch.zeros(1, 1))])
    for name, value in optimizer.param_groups[0].items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"Expected `{name}` of the optimizer to be finite, but got {value}.")
    if module.scheduler is not None:
        module.scheduler(optimizer)
    context = module.policy.codec.context
    for name in ("params", "eval_params"):
        if context is not None and (asked := getattr(module, name).max_tokens) >= context:
            raise ValueError(
                f"Expected `{name}.max_tokens` to leave room for a question in the {context:,} tokens that the policy "
                f"takes, but got {asked:,}."
            )


def unwritable(folder: Path) -> str | None:
    """Why a folder can't be made or written into; a folder that is made to find out is gone when this returns."""
    try:
        place = folder.absolute()
        while not os.path.lexists(place):
            place = place.parent
        why = "" if place.is_dir() else f"{place} is no folder"
        if not why and not takes_folders(place):
            why = f"{place} may not be written into"
    except OSError as error:
        why = str(error.strerror)
    name = shorten(str(folder), 100, placeholder="...") if len(str(folder)) > 100 else str(folder)
    return f"Expected a folder that can be written at {name}, but {why}. Name another one." if why else None


def takes_folders(place: Path) -> bool:
    """Whether a folder can be made in another one; of some, as of ``/proc``, rights alone do not say so."""
    try:
        with TemporaryDirectory(prefix=".vrft_pl-", dir=place):
            return True
    except OSError:
        return False


def is_template(name: str) -> bool:
    """Whether fields can be filled in, each in at most 99 characters."""
    try:
        fields = [spec or "" for _, field, spec, _ in Formatter().parse(name) if field is not None]
    except ValueError:
        return False
    return all(re.fullmatch(r"[-+0]?\d{0,2}(\.\d{1,2})?[a-z]?", spec) for spec in fields)


def is_path(text: str) -> bool:
    """Whether a file may have this name: it has no null character, no half of one, and no part over 255 bytes."""
    try:
        return bool(text.strip()) and "\0" not in text and all(len(part.encode()) <= 255 for part in Path(text).parts)
    except UnicodeEncodeError:
        return False


def too_many(accelerator: Any, devices: Any) -> str | None:
    """Processes on a CPU, each of which would load the whole policy."""
    if accelerator == "cpu" and str(devices).isdigit() and int(devices) > MOST_PROCESSES:
        return (
            f"Expected `trainer.devices` to be at most {MOST_PROCESSES} processes on a CPU of {os.cpu_count()} cores, "
            f"but got {str(devices)[:20]}."
        )
    return None

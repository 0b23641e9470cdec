"""What a run was: enough to run it again and to see that it was the same."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer

from vrft_pl import __version__
from vrft_pl.data import SampleData
from vrft_pl.data.samples import Samples, Split
from vrft_pl.runs.folder import RunFolder

SPLITS: Mapping[str, tuple[Split, ...]] = {"fit": ("train", "val"), "validate": ("val",)}
"""What a run of a kind reads; the others read ``test``."""
MOST_IDS = 256
"""Rows of a procedural part whose ids are hashed: each depends on the seed and its position alone."""


def write_manifest(
    folder: RunFolder,
    kind: str,
    command: Sequence[str],
    config: Mapping[str, Any],
    trainer: Trainer,
    task: LightningDataModule | None,
) -> None:
    """Add a start of the run to ``manifest.json``; what earlier starts wrote stays.

    Args:
        folder: Folder of the run.
        kind: What it does: ``fit``, ``validate``, ``test`` or ``predict``.
        command: What started the process.
        config: The resolved config.
        trainer: The run's trainer.
        task: The run's data, set up.
    """
    start = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "checkpoint": config.get("ckpt_path"),
        "seed": config.get("seed_everything"),
        "git": git_state(),
        "versions": versions(),
        "device": device(trainer),
        "data": data_ids(task, SPLITS.get(kind, ("test",))),
        "config": dict(config),
    }
    folder.write(folder.MANIFEST, {"starts": [*folder.starts(), start]})


def note_ways(folder: RunFolder, model: str, ways: Mapping[str, bool | None], commit: str | None = None) -> None:
    """Write into the last start of a run how its model was computed.

    Args:
        folder: Folder of the run; one without a manifest is left alone.
        model: Name of the model's class.
        ways: Whether each faster way was taken; ``None`` where nobody asked.
        commit: That of the checkpoint, where it is of a hub.
    """
    if starts := folder.starts():
        decided = {way: yes for way, yes in ways.items() if yes is not None}
        of_hub = {"checkpoint_commit": commit} if commit else {}
        last = {**starts[-1], "model": model, "ways": decided, **of_hub}
        folder.write(folder.MANIFEST, {"starts": [*starts[:-1], last]})


def git_state() -> dict[str, Any] | None:
    """The commit of the working directory, and whether tracked files differ from it; ``None`` outside a repository."""
    try:
        commit = subprocess.check_output(("git", "rev-parse", "HEAD"), stderr=subprocess.DEVNULL, timeout=10)
        changes = subprocess.check_output(
            ("git", "status", "--porcelain", "--untracked-files=no"), stderr=subprocess.DEVNULL, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.decode().strip(), "dirty": bool(changes.strip())}


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of what it requires and finds."""
    found = {"python": platform.python_version(), "vrft_pl": __version__}
    try:
        required = requires("vrft_pl") or ["torch", "transformers", "lightning"]
    except PackageNotFoundError:
        required = ["torch", "transformers", "lightning"]
    for name in sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device(trainer: Trainer) -> dict[str, Any]:
    """What a run computes on."""
    root = trainer.strategy.root_device
    name = torch.cuda.get_device_name(root) if root.type == "cuda" else platform.processor() or platform.machine()
    return {
        "kind": root.type,
        "name": name,
        "ranks": trainer.world_size,
        "threads": torch.get_num_threads(),
        "strategy": type(trainer.strategy).__name__,
        "precision": trainer.precision,
        "cuda": torch.version.cuda,
        "platform": platform.platform(),
    }


def data_ids(task: LightningDataModule | None, splits: Iterable[Split]) -> dict[str, dict[str, Any]]:
    """Rows of each part and the SHA-256 of their ids, in their order; no hash of a stream, which is not read for it."""
    if not isinstance(task, SampleData):
        return {}
    parts = (part for split in splits for part in task.datasets(split).values() if isinstance(part, Samples))
    return {part.part.key: {"rows": len(part), "sha256": hash_ids(part)} for part in parts}


def hash_ids(samples: Samples) -> str | None:
    """SHA-256 of the ids of the rows of a part, each on a line; of the first ones where they are made on the spot."""
    source = samples.source
    if source.streamed:
        return None
    rows = range(len(samples)) if samples.rows is None else samples.rows
    digest = hashlib.sha256()
    for row in rows[:MOST_IDS] if source.procedural else rows:
        digest.update(f"{source[row].id}\n".encode(errors="backslashreplace"))
    return digest.hexdigest()

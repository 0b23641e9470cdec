"""Checkpoints as whole files, and the newest of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from vrft_pl.runs.files import PARTIAL, whole_file
from vrft_pl.types import InputError


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name, syncs and renames it.

    Lightning's own writes into the system's temporary folder and moves the file, which is a copy where that folder is
    on another file system: a kill then leaves a torn file under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save to a local file; an address such as ``s3://`` is left to Lightning."""
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with whole_file(Path(path)) as file:
            torch.save(checkpoint, file)


def install_checkpoint_io(trainer: Trainer) -> None:
    """Let a trainer write with `WholeCheckpointIO`, also below ``AsyncCheckpointIO``.

    A plugin of the user's own and strategies that write folders themselves keep their way of writing.
    """
    plugin = trainer.strategy.checkpoint_io
    if type(plugin) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeCheckpointIO()
    elif type(plugin) is AsyncCheckpointIO and type(plugin.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AsyncCheckpointIO(WholeCheckpointIO())


def newest_checkpoint(folders: Iterable[Path]) -> Path | None:
    """Find the checkpoint that was written last, a file or the folder of a sharded strategy."""
    found = [path for folder in folders for path in folder.glob("*.ckpt") if not path.name.endswith(PARTIAL)]
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def last_checkpoint(folders: Sequence[Path]) -> Path:
    """The checkpoint that ``--ckpt_path last`` means: the newest in a run's folders.

    Raises:
        InputError: If the run has none.
    """
    if (newest := newest_checkpoint(folders)) is None:
        raise InputError(
            f"Expected a checkpoint for `--ckpt_path last` in {folders[0]}, but there is none. "
            "Name the folder of the run with `--run.folder`, or leave `--ckpt_path` out to start anew."
        )
    return newest


def checkpoint_folders(folder: Path, dirpath: str | Path | None = None) -> tuple[Path, ...]:
    """Where a run's checkpoints are; those that Lightning writes when SLURM requeues a job lie in the folder itself.

    Args:
        folder: Folder of the run.
        dirpath: Where checkpoints are written, if it is elsewhere.
    """
    return Path(dirpath) if dirpath else folder / "checkpoints", folder

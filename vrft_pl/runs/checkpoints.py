"""Checkpoints as whole files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from vrft_pl.runs.files import whole_file


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

"""Checkpoints as whole files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from vrft_pl.runs.checksums import Hashing, manifest_of, seal
from vrft_pl.runs.files import whole_file
from vrft_pl.types import InputError


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name, syncs and renames it, and writes a manifest of its size and checksum.

    Lightning's own writes into the system's temporary folder and moves the file, which is a copy where that folder is
    on another file system: a kill then leaves a torn file under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save to a local file; an address such as ``s3://`` is left to Lightning."""
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        with whole_file(path) as file:
            hashing = Hashing(file)
            torch.save(checkpoint, hashing)  # type: ignore[arg-type]  # needs no more than to be written to
            manifest_of(path).unlink(missing_ok=True)  # of what stood here before
        seal(path, {path.name: hashing.entry})

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint of a run.

        Raises:
            InputError: If it holds something else.
        """
        checkpoint = super().load_checkpoint(path, *args, **kwargs)
        if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
            raise InputError(f"Expected the checkpoint of a run at {path}, but it holds {type(checkpoint).__name__}.")
        if "pytorch-lightning_version" not in checkpoint:
            raise InputError(f"Expected the checkpoint of a run at {path}, but no version of Lightning is in it.")
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its manifest."""
        super().remove_checkpoint(path)
        if "://" not in str(path):
            manifest_of(Path(path)).unlink(missing_ok=True)


def install_checkpoint_io(trainer: Trainer) -> None:
    """Let a trainer write with `WholeCheckpointIO`, also below ``AsyncCheckpointIO``.

    A plugin of the user's own and strategies that write folders themselves keep their way of writing.
    """
    plugin = trainer.strategy.checkpoint_io
    if type(plugin) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeCheckpointIO()
    elif type(plugin) is AsyncCheckpointIO and type(plugin.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AsyncCheckpointIO(WholeCheckpointIO())

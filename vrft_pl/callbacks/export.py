"""Hugging Face folders of the trained policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

if TYPE_CHECKING:
    from vrft_pl.modules import PolicyModule


class HFExport(Callback):
    """Writes an ordinary Hugging Face folder to ``export`` in the run's folder at the end of ``fit``.

    Where a ``ModelCheckpoint`` watches a metric, the best policy so far is written to ``export-best`` as well.

    Args:
        enabled: Write at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._best: dict[ModelCheckpoint, str] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Export when a checkpoint is being saved because it is the best one."""
        for callback in trainer.checkpoint_callbacks:
            if not isinstance(callback, ModelCheckpoint) or callback.monitor is None:
                continue
            if callback.best_model_path and self._best.get(callback) != callback.best_model_path:
                self._best[callback] = callback.best_model_path
                self._export(trainer, pl_module, "export-best")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export the policy as it is at the end."""
        self._export(trainer, pl_module, "export")

    def _export(self, trainer: Trainer, module: PolicyModule | LightningModule, name: str) -> None:
        if self.enabled and trainer.is_global_zero and trainer.log_dir is not None:
            module.export(Path(trainer.log_dir) / name)  # type: ignore[operator]  # a PolicyModule

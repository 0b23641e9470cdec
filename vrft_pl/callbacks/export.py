"""Hugging Face folders of the trained policy."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import FSDPStrategy, Strategy

from vrft_pl.distributed import any_rank, strategy_class
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError


class HFExport(Callback):
    """Writes an ordinary Hugging Face folder to ``export`` in the run's folder at the end of ``fit``.

    Where a ``ModelCheckpoint`` watches a metric, the best policy so far is written to ``export-best`` as well.

    Args:
        enabled: Write at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._best: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a strategy whose weights can't be put together."""
        if stage == "fit" and (refusal := self.refusal(trainer.strategy)):
            raise InputError(refusal)

    def refusal(self, strategy: Strategy | str) -> str | None:
        """Why nothing can be exported under a strategy, by name or built; ``None`` where it can, or need not."""
        if not self.enabled or not issubclass(strategy_class(strategy), FSDPStrategy):
            return None
        return (
            "Expected a strategy whose weights can be gathered for the export, but got FSDPStrategy. Use "
            "`deepspeed_stage_3`, or `export.enabled: false`."
        )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Export when a checkpoint is being saved because it is the best one."""
        for callback in trainer.checkpoint_callbacks:
            if not isinstance(callback, ModelCheckpoint) or callback.best_model_score is None:
                continue
            score = float(callback.best_model_score)
            if any_rank(callback.monitor is not None and self._best.get(callback.state_key) != score):
                self._best[callback.state_key] = score
                self._export(trainer, pl_module, "export-best")

    def state_dict(self) -> dict[str, Any]:
        """Best score exported so far, by the checkpoint callback that watches it."""
        return {"best": dict(self._best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score of the run that is resumed."""
        self._best = dict(state_dict["best"])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export the policy as it is at the end."""
        self._export(trainer, pl_module, "export")

    def _export(self, trainer: Trainer, module: LightningModule, name: str) -> None:
        folder = RunFolder.of(trainer)
        if self.enabled:
            module.export(folder.path / name)  # type: ignore[operator]  # a PolicyModule; gathers, the first rank writes

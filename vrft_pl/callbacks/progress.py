"""A progress bar for reinforcement."""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

_SHOWN = {
    "train/loss": "loss",
    "train/reward": "reward",
    "time/rollout": "rollout s",
    "time/reward": "reward s",
    "time/reference": "reference s",
    "time/update": "update s",
}


class RewardProgressBar(RichProgressBar):
    """Lightning's rich bar with the reward and the seconds that each phase of the last step took."""

    def _get_train_description(self, current_epoch: int) -> str:
        """Lightning would write "Epoch 0/-2" where a run ends by its steps."""
        return super()._get_train_description(current_epoch).replace("/-2", "  ")

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Choose what the bar shows."""
        metrics = trainer.callback_metrics
        return {short: f"{float(metrics[name]):.3f}" for name, short in _SHOWN.items() if name in metrics}

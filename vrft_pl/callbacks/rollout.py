"""The hooks around a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch import Callback, Trainer

from vrft_pl.types import Experience

if TYPE_CHECKING:
    from vrft_pl.modules import GRPOModule


class RolloutCallback(Callback):
    """A Lightning callback that is also told of each rollout. The module does not know which callbacks exist."""

    def on_rollout_start(self, trainer: Trainer, module: GRPOModule) -> None:
        """Called before completions are sampled, with the policy as it will sample."""

    def on_rollout_end(self, trainer: Trainer, module: GRPOModule, experience: Experience) -> None:
        """Called when a window is scored and its advantages are known, before it is trained on."""

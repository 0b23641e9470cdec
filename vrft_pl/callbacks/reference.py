"""A reference that follows the policy."""

from __future__ import annotations

from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from vrft_pl.distributed import shards_weights
from vrft_pl.policy.reference import Reference
from vrft_pl.rollout import RolloutCallback
from vrft_pl.rollout.hooks import Run
from vrft_pl.types import InputError

KEY = "vrft_pl_reference"
"""Key of a checkpoint under which the weights of the reference are, once for all ranks."""


class ReferenceUpdate(RolloutCallback):
    """Moves the reference of the KL term towards the policy every few optimizer steps.

    TR-DPO's updates (https://arxiv.org/abs/2404.09656, eq. 5 and 6) for the reference of GRPO: ``share`` 1 replaces it
    (hard; ProRL's resets, https://arxiv.org/abs/2505.24864), a small one is an exponential moving average (soft). The
    KL term then bounds how fast the policy moves, not how far. Weights are kept in float32 whatever those of the model
    are, four bytes a trained parameter, for a small share of a step would be lost in half precision.

    With LoRA the reference is the base with an adapter of its own, which begins as the policy's did when training
    began: for a fresh adapter that is the base alone. Matrices are averaged one by one, not their product. Under
    ``reference: adapter_off`` no second model is held; the weights are exchanged for the pass of the reference.
    Strategies that shard weights are refused.

    Args:
        every_n_steps: Optimizer steps between two updates.
        share: Of the policy in the new reference.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, every_n_steps: int = 1, share: float = 0.01) -> None:
        if every_n_steps < 1:
            raise ValueError(f"Expected `every_n_steps` to be at least 1, but got {every_n_steps}.")
        if not 0 < share <= 1:
            raise ValueError(f"Expected `share` to be above 0 and at most 1, but got {share}.")
        self.every_n_steps, self.share = every_n_steps, share
        self.step = 0
        """Optimizer steps whose update is done."""

    def state_dict(self) -> dict[str, int]:
        """How far it is."""
        return {"step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.step = state_dict["step"]

    def insist(self, run: Run, module: LightningModule) -> None:
        """Refuse a run without a reference, or with sharded weights."""
        if getattr(module, "reference", None) is None:
            raise InputError("Expected a loss with a reference for ReferenceUpdate. Set its `kl_coefficient` above 0.")
        if shards_weights(run.strategy):
            name = type(run.strategy).__name__
            raise InputError(f"Expected a strategy that shards no weights with ReferenceUpdate, but got {name}.")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the weights of the reference."""
        if (weights := reference_of(pl_module).weights) is not None:
            checkpoint[KEY] = {name: weight.cpu() for name, weight in weights.items()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take them where training goes on."""
        if trainer.state.fn == TrainerFn.FITTING and KEY in checkpoint:
            reference_of(pl_module).take(checkpoint[KEY])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the reference weights of its own."""
        reference_of(pl_module).begin()

    def on_rollout_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Move it after the last step before it is asked."""
        self._move(trainer, module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Move it after a step within a window."""
        self._move(trainer, pl_module)

    def _move(self, trainer: Trainer, module: LightningModule) -> None:
        """Move it once after each step that is due.

        Not at the end of the step, where other callbacks save: what a checkpoint holds would depend on their order.
        """
        step = trainer.global_step
        if step > self.step and step % self.every_n_steps == 0:
            reference_of(module).move(self.share)
        self.step = step


def reference_of(module: LightningModule) -> Reference:
    """The reference of a module that has one."""
    return cast(Reference, module.reference)

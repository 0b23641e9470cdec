"""Numbers that are not finite, and weights that never see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from vrft_pl.callbacks.inspection import flaws, inspected
from vrft_pl.distributed import gather, mean_over_ranks, rank, total_norm
from vrft_pl.rollout import RolloutCallback
from vrft_pl.rollout.loader import muted
from vrft_pl.runs import RunFolder
from vrft_pl.types import Demonstrations, Experience, InputError, Prompts

Action = Literal["skip", "stop"]


class NonFiniteGuard(RolloutCallback):
    """Looks for losses, gradients, rewards and log-probs that are not finite, before the weights do.

    An optimizer step of such a loss or gradient is left out on all ranks: parameters and states of the optimizer stay
    as they are, while the step and the schedule are counted on. Groups of a rollout with such a reward, advantage or
    log-prob enter no loss. Either way what they were made of is written to ``inspect/`` of the run's folder and
    counted, in ``train/skipped_steps`` and in the summary. Logs ``train/gradient_norm``, before clipping. A scaler of
    half precision leaves out steps whose gradients overflow by itself, and DeepSpeed keeps gradients to itself: there
    the loss alone is looked at, and under DeepSpeed it ends the run.

    Args:
        enabled: Whether to.
        action: ``skip`` goes on as above, ``stop`` ends the run.
        patience: Optimizer steps left out in a row that end the run all the same: the weights are at fault by then.
        keep: Most files that each rank writes for inspection.

    Raises:
        ValueError: If ``action`` is something else, ``patience`` is not positive, or ``keep`` is negative.
    """

    def __init__(self, enabled: bool = True, action: Action = "skip", patience: int = 10, keep: int = 8) -> None:
        if action not in ("skip", "stop"):
            raise ValueError(f"Expected `action` to be `skip` or `stop`, but got {action!r}.")
        if patience < 1 or keep < 0:
            raise ValueError(
                f"Expected `patience` to be at least 1 step and `keep` to be 0 or more files, but got {patience} and "
                f"{keep}."
            )
        self.enabled, self.action, self.patience, self.keep = enabled, action, patience, keep
        self.skipped = 0
        """Optimizer steps left out, the same on every rank."""
        self.muted = 0
        """Groups of this rank that entered no loss."""
        self._in_a_row = self._written = 0
        self._losses: list[Tensor] = []
        self._batches: list[Experience | Demonstrations] = []

    def state_dict(self) -> dict[str, int]:
        """What was counted."""
        return {"skipped": self.skipped, "muted": self.muted, "in_a_row": self._in_a_row}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on counting."""
        self.skipped, self.muted, self._in_a_row = (state_dict[name] for name in ("skipped", "muted", "in_a_row"))

    def faults(self) -> dict[str, int]:
        """What was counted on all ranks, where there is some; every rank calls it."""
        counts = {"skipped_steps": self.skipped, "groups_left_out": sum(gather(self.muted))}
        return {name: count for name, count in counts.items() if count}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the folder, which all ranks ask for together."""
        self._folder = RunFolder.of(trainer)
        self._losses, self._batches = [], []

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> Experience | None:
        """Leave groups out of the loss that hold a number which is not finite.

        Raises:
            InputError: If there is one on any rank and ``action`` is ``stop``.
        """
        if not self.enabled:
            return None
        groups = flaws(experience)
        stops = self.action == "stop" and mean_over_ranks(groups.any().float()).item() > 0
        if not stops and not bool(groups.any()):
            return None
        bad = [i for i, yes in enumerate(groups.tolist()) if yes]
        where = self._write(trainer, "rollout", [experience.select(bad)] if bad else [], {})
        sentence = (
            f"Expected finite rewards, advantages and log-probs, but got others in the rollout of step "
            f"{trainer.global_step}. {where}"
        )
        if stops:
            raise InputError(f"{sentence} Leave such groups out by `guard.action: skip`.")
        if not self.muted:
            rank_zero_warn(f"{sentence} Such groups enter no loss; they are counted from now on.")
        self.muted += len(bad)
        return muted(experience, [experience.samples[i] for i in bad])

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep what a micro-batch was made of, without its pictures, until its optimizer step is done."""
        if self.enabled and isinstance(batch, Experience | Demonstrations):
            self._batches.append(without_prompts(batch))

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Keep the loss, at which a device is not asked to look yet."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Leave the step out where a loss or a gradient is not finite on any rank.

        Raises:
            InputError: If it is so and the run is to end.
        """
        losses, batches = self._losses, self._batches
        self._losses, self._batches = [], []
        if not self.enabled:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = total_norm([p.grad for p in parameters if p.grad is not None]).to(pl_module.device)
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        looked_at = torch.stack([*(loss.float() for loss in losses), norm.new_zeros(()) if scaled else norm])
        # what a rank finds, all of them do: none leaves out a step that another one makes
        flawed = mean_over_ranks((~looked_at.isfinite()).any().float())
        found, length = torch.stack([flawed, norm]).tolist()
        if not found:
            self._in_a_row = 0
            pl_module.log("train/gradient_norm", length, batch_size=1)
            return
        self._leave_out(trainer, pl_module, losses, batches)
        for parameter in parameters:
            parameter.grad = None  # which optimizers take no step for, not even one of weight decay
        pl_module.log("train/skipped_steps", float(self.skipped), batch_size=1)

    def _leave_out(
        self,
        trainer: Trainer,
        module: LightningModule,
        losses: list[Tensor],
        batches: list[Experience | Demonstrations],
    ) -> None:
        """Write down, count and tell a step that is left out, or end the run."""
        self.skipped += 1
        self._in_a_row += 1
        given = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        gradients = [name for name, gradient in given.items() if not bool(total_norm([gradient]).isfinite())]
        facts = {"losses": [str(loss.item()) for loss in losses], "gradients": gradients}
        where = self._write(trainer, "update", batches, facts)
        cause = f"the gradient of {gradients[0]}" if gradients else "the loss"
        sentence = f"Expected finite losses and gradients, but got {cause} of step {trainer.global_step}. {where}"
        if self.action == "stop":
            raise InputError(f"{sentence} Leave such steps out by `guard.action: skip`.")
        if trainer.strategy.handles_gradient_accumulation:
            raise InputError(f"{sentence} Under DeepSpeed such a step can't be left out.")
        if self._in_a_row == self.patience:
            raise InputError(
                f"{sentence} {self.patience} such steps came in a row: lower the learning rate, and go on from an "
                "earlier checkpoint."
            )
        if self.skipped == 1:
            rank_zero_warn(f"{sentence} The step is left out; such steps are counted from now on.")

    def _write(
        self, trainer: Trainer, what: str, batches: list[Experience | Demonstrations], facts: dict[str, Any]
    ) -> str:
        """Write for inspection, unless enough is. Returns a sentence that says where to look."""
        if self._written < self.keep and (batches or facts):
            self._written += 1
            name = f"{RunFolder.INSPECT}/{what}-step{trainer.global_step:06d}-rank{rank()}.json"
            rows = [row for batch in batches for row in inspected(batch)]
            self._folder.write(name, {"step": trainer.global_step, **facts, "completions": rows})
        return f"Look at {self._folder}/{RunFolder.INSPECT}."


def without_prompts(batch: Experience | Demonstrations) -> Experience | Demonstrations:
    """The batch without what is large: tokens and pictures of its prompts."""
    return replace(batch, prompts=Prompts(()))

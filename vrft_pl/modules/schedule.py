"""A learning-rate schedule that can be written in YAML."""

from __future__ import annotations

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupDecay(LambdaLR):
    """Linear warm-up, then decay to a share of the peak.

    Args:
        optimizer: The optimizer.
        warmup_steps: Optimizer steps from 0 to the peak.
        decay: ``cosine``, ``linear`` or ``constant``.
        final: Learning rate at the end, as a share of the peak.
        total_steps: Optimizer steps until the end. Defaults to the length of the run, which the module fills in.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int = 0,
        decay: Literal["cosine", "linear", "constant"] = "cosine",
        final: float = 0.0,
        total_steps: int | None = None,
    ) -> None:
        if warmup_steps < 0:
            raise ValueError(f"Expected `warmup_steps` to be 0 or more, but got {warmup_steps}.")
        if not 0 <= final <= 1:
            raise ValueError(f"Expected `final` to be a share in [0, 1], but got {final}.")
        self.warmup_steps, self.decay, self.final, self.total_steps = warmup_steps, decay, final, total_steps
        super().__init__(optimizer, self.factor)

    def factor(self, step: int) -> float:
        """Share of the peak learning rate at an optimizer step."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.decay == "constant" or self.total_steps is None:
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))
        falling = 0.5 * (1 + math.cos(math.pi * progress)) if self.decay == "cosine" else 1 - progress
        return self.final + (1 - self.final) * falling

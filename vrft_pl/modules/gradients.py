"""What is trained but never gets a gradient."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import Tensor

from vrft_pl.distributed import anywhere

STEPS = 3
"""Optimizer steps until everything should have had one: an adapter's first matrix gets it once the second has moved."""
SPARSE = re.compile(r"(^|\.)experts?(\.|$)")
"""Names of what few tokens go through."""


class GradientWatch:
    """Looks at gradients of the first optimizer steps that have any."""

    def __init__(self) -> None:
        self.silent: set[str] | None = None
        """Names of what has had none yet; ``None`` before the first step."""
        self.steps = 0

    def look(self, parameters: Iterable[tuple[str, Tensor]]) -> str | None:
        """Look at the gradients of a step.

        Args:
            parameters: All of them, by name, as the model has them before the optimizer steps.

        Returns:
            What to warn of, once.
        """
        if self.steps == STEPS or self.silent == set():
            return None
        trained = {name: p for name, p in parameters if p.requires_grad and not SPARSE.search(name)}
        if self.silent is None:
            self.silent = set(trained)
        given = [(name, p.grad) for name, p in trained.items() if name in self.silent and p.grad is not None]
        found = anywhere([gradient for _, gradient in given])
        moved = {name for (name, _), yes in zip(given, found, strict=True) if yes}
        if not moved and self.steps == 0:  # all groups were dead, or the strategy keeps gradients to itself
            return None
        self.silent -= moved
        self.steps += 1
        return self.complaint(len(trained)) if self.steps == STEPS else None

    def complaint(self, count: int) -> str | None:
        """Name what has had no gradient.

        Args:
            count: Of how many parameters.
        """
        if not self.silent:
            return None
        names = ", ".join(sorted(self.silent)[:3])
        return (
            f"{len(self.silent)} of {count} parameters that are trained got no gradient in {self.steps} steps, such as "
            f"{names}. The model does not use them for these data: leave them out by `freeze`, `freeze_pattern` or the "
            "`parts` of `lora`."
        )

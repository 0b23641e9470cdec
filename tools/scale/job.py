"""What one step of a run has to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Training = Literal["full", "lora"]


@dataclass(frozen=True)
class Job:
    """A GRPO step; prompts are read once for their group, in sampling and in training."""

    layers: float
    """Parameters that every token meets."""
    head: float
    """Parameters that completion tokens alone meet."""
    tower: float
    """Parameters that only pictures meet."""
    cache: float
    """Bytes of keys and values a token."""
    prompts: int
    """``P`` of all cards together."""
    group: int
    """``G``."""
    prompt: int
    """``S``."""
    patches: int
    """Patches of the pictures of a prompt."""
    completion: int
    """Mean of ``T``."""
    longest: int
    """The longest completion, which a synchronous step waits for."""
    training: Training = "full"
    reference: bool = False
    """Whether a KL divergence is measured."""

    @property
    def parameters(self) -> float:
        """All of them; the input embedding counts as the head does."""
        return self.layers + self.tower + self.head * 2

    @property
    def rows(self) -> int:
        """``N``."""
        return self.prompts * self.group

    @property
    def forward_flops(self) -> float:
        """Operations of one pass over prompts and completions, 2 a parameter and token."""
        written = self.rows * self.completion
        read = self.prompts * self.prompt
        return 2 * (self.layers * (read + written) + self.head * written + self.tower * self.prompts * self.patches)

    @property
    def prefill_flops(self) -> float:
        """Operations of reading the prompts."""
        return 2 * self.prompts * (self.layers * self.prompt + self.tower * self.patches)

    @property
    def update_flops(self) -> float:
        """Forward, again for the activations, and backward: twice that, or once where the weights are frozen."""
        return self.forward_flops * (4 if self.training == "full" else 3)

"""How the weights of a policy are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from vrft_pl.policy.checkpoint import load_model
from vrft_pl.policy.parts import LoRA, Part, add_lora, enable_checkpointing, freeze
from vrft_pl.types import InputError


@contextmanager
def single_precision_default() -> Iterator[None]:
    """Set the default dtype to float32, as in transformers' own use of a model.

    Half-precision plugins of Lightning change it, and models would compute positions of patches in it.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(default)


@dataclass(frozen=True)
class Weights:
    """What to make of a checkpoint; the fields are arguments of `VLM`."""

    checkpoint: str
    dtype: str = "auto"
    attention: str | None = None
    lora: LoRA | None = None
    freeze: tuple[Part, ...] = ()
    freeze_pattern: str | None = None
    gradient_checkpointing: bool = False

    def make(self) -> nn.Module:
        """Load the weights, and adapt and freeze them.

        Raises:
            InputError: If they can't be loaded, or something to adapt or freeze does not exist.
        """
        model = load_model(self.checkpoint, self.dtype, self.attention)
        whole: nn.Module = model if self.lora is None else add_lora(model, self.lora)
        if self.freeze or self.freeze_pattern is not None:
            freeze(model, self.freeze, self.freeze_pattern)
        if not any(p.requires_grad for p in whole.parameters()):
            raise InputError("Expected `freeze` to leave something to train, but every parameter is frozen.")
        if self.gradient_checkpointing:
            enable_checkpointing(model)
        return whole

"""How the weights of a policy are made, kept, moved and switched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vrft_pl.distributed import is_spread, made_whole
from vrft_pl.policy.anatomy import Anatomy, Part
from vrft_pl.policy.attention import check_attention
from vrft_pl.policy.loading import load_model
from vrft_pl.policy.parts import (
    LoRA,
    add_lora,
    check_pattern,
    enable_checkpointing,
    freeze,
    is_adapted,
    keep_frozen_still,
    parameter_table,
    trained_parts,
)
from vrft_pl.policy.quantized import load_quantized
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
    revision: str | None = None

    def __post_init__(self) -> None:
        """Check what needs no weights to be told wrong."""
        if self.attention is not None:
            check_attention(self.attention)
        if self.freeze_pattern is not None:
            check_pattern("freeze_pattern", self.freeze_pattern)

    @property
    def quantized(self) -> bool:
        """Whether the base is held in four bits."""
        return self.lora is not None and self.lora.quantize is not None

    def make(self) -> nn.Module:
        """Load the weights, and adapt and freeze them.

        Raises:
            InputError: If they can't be loaded, or something to adapt or freeze does not exist.
        """
        load = load_quantized if self.quantized else load_model
        model = load(self.checkpoint, self.dtype, self.attention, self.revision)
        whole: nn.Module = model if self.lora is None else add_lora(model, self.lora, self.revision)
        if self.freeze or self.freeze_pattern is not None:
            freeze(model, self.freeze, self.freeze_pattern)
        if not any(p.requires_grad for p in whole.parameters()):
            raise InputError("Expected `freeze` to leave something to train, but every parameter is frozen.")
        if self.gradient_checkpointing:
            enable_checkpointing(model)
        return whole


class WeightHolder(nn.Module):
    """A model whose weights `load` makes: its parts, its modes and its adapter.

    Args:
        weights: What to make.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        self.model: nn.Module | None = None
        self.still = False
        """Whether it is trained as it samples: no dropout, no dropped paths, no statistics of a batch."""

    def load(self) -> Self:
        """Make the weights, once."""
        if self.model is None:
            with single_precision_default(), made_whole():
                self.model = self.weights.make()
            self._anatomy = Anatomy.of(self.hf_model)
            self.train()  # `from_pretrained` leaves eval mode, and Lightning keeps the mode it finds
        return self

    @property
    def hf_model(self) -> PreTrainedModel:
        """The transformers model, adapters injected.

        Raises:
            RuntimeError: If the weights are not loaded.
        """
        if self.model is None:
            raise RuntimeError("Expected a policy with weights, but they are not loaded. Call `load` first.")
        return self.model.get_base_model() if is_adapted(self.model) else self.model  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.hf_model.parameters()).device

    @property
    def has_adapter(self) -> bool:
        """Whether switching the adapter off gives the model it started from."""
        return self.weights.lora is not None

    @property
    def is_quantized(self) -> bool:
        """Whether the base is held in four bits, so that no strategy can take its weights apart."""
        return self.weights.quantized

    @property
    def is_spread(self) -> bool:
        """Whether ranks hold the weights together, also while they are whole."""
        return is_spread(self)

    @property
    def sees_alike(self) -> bool:
        """Whether training leaves alone what is seen in a picture: vision tower and projector are frozen."""
        return trained_parts(self.hf_model, self._anatomy) <= {"language"}

    def parameter_table(self) -> dict[str, tuple[int, int]]:
        """Trainable and all parameters by part."""
        return parameter_table(self.hf_model, self._anatomy)

    @contextmanager
    def adapter_disabled(self) -> Iterator[None]:
        """Switch the adapter off: the model is then the one it started from."""
        if not is_adapted(self.model):
            raise ValueError("Expected a policy with `lora`, but it has no adapter to switch off.")
        with self.model.disable_adapter():
            yield

    def train(self, mode: bool = True) -> Self:
        """Set the mode of everything that is trained; what is frozen or `still` stays in evaluation mode."""
        super().train(mode)
        if mode and self.model is not None:
            keep_frozen_still(self.model, self.still)
        return self

    @contextmanager
    def evaluating(self) -> Iterator[Self]:
        """Switch to eval mode without gradients and restore the mode after. Dropout would make another policy."""
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            with torch.no_grad():
                yield self
        finally:
            for module, training in modes.items():
                module.training = training

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast weights, but never cast a buffer: rotary frequencies in half precision would blur positions."""
        buffers = {(m, name): b for m in self.modules() for name, b in m._buffers.items() if b is not None}
        super()._apply(fn, recurse)
        for (module, name), original in buffers.items():
            moved = module._buffers[name]
            if moved is not None and moved.dtype != original.dtype:
                module._buffers[name] = original.to(moved.device)
        return self

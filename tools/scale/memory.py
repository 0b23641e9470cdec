"""Bytes that a known model takes all the time on one card, by how it is trained."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from vrft_pl.policy.quantized import BLOCK

Training = Literal["full", "lora", "qlora"]


def staying_bytes(model: Any, training: Training, rank: int, reference: bool) -> int:
    """Weights, gradients, states of AdamW and a reference, as `vrft_pl check` counts them of a policy with weights.

    Args:
        model: The model, which needs no memory.
        training: ``full`` keeps all weights in float32; ``lora`` the base in bfloat16 and adapters in float32 on the
            language model; ``qlora`` its linear layers in four bits.
        rank: Of the adapters.
        reference: Whether a KL divergence is measured; a base with adapters is its own reference.
    """
    total = sum(p.numel() for p in model.parameters())
    if training == "full":
        return (4 + 4 + 8 + 4 * reference) * total
    adapters = sum(rank * (layer.in_features + layer.out_features) for layer in adapted(model))
    base = 2 * total
    if training == "qlora":
        base += sum(packed_bytes(layer) - 2 * layer.weight.numel() for layer in adapted(model) if packs(layer))
    return base + (4 + 4 + 8) * adapters


def adapted(model: Any) -> list[nn.Linear]:
    """Linear layers of the language model, without the head."""
    language = model.get_decoder()
    head = model.get_output_embeddings()
    return [m for m in language.modules() if isinstance(m, nn.Linear) and m is not head]


def packs(layer: nn.Linear) -> bool:
    """Whether bitsandbytes holds a layer in four bits here; see `kept_whole`."""
    return layer.in_features % BLOCK == 0


def packed_bytes(layer: nn.Linear) -> int:
    """Half a byte a weight, a byte for the scale of 64 of them, four for that of 256 scales, and two tables."""
    numbers = layer.weight.numel()
    scales = -(-numbers // BLOCK)
    return numbers // 2 + scales + 4 * -(-scales // 256) + 4 + 4 * 16 + 4 * 256

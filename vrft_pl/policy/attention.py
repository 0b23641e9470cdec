"""Attention by layout: the model's own forward, with rows that know better than a mask who sees whom.

transformers hands a 4-D mask to the attention function as it is. Ours may carry a `Layout`, which then computes the
attention itself; every other mask goes to the usual SDPA. The layout travels with the mask, so that gradient
checkpointing finds it again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

SDPA_LAYOUT = "vrft_pl_sdpa_layout"
"""Name of `layout_attention` in transformers' registry; no config that is saved holds it."""


def check_attention(name: str) -> None:
    """Check that transformers knows an attention: its own, one that somebody registered, or a kernel of the hub.

    Raises:
        ValueError: If it does not.
    """
    known = sorted({"eager", *AttentionInterface().valid_keys()} - {SDPA_LAYOUT})
    if name not in known and "/" not in name:
        raise ValueError(
            f"Expected `attention` to be one of {', '.join(known)}, or a kernel of the hub such as "
            f"kernels-community/flash-attn2, but got {name!r}."
        )


class Layout(Protocol):
    """Computes the attention of rows that share their prompts."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None, dropout: float
    ) -> Tensor:
        """Attend.

        Args:
            layer: Index of the layer.
            query: Shape ``(rows, heads, tokens, D)``.
            key: Of the same tokens. Shape ``(rows, key heads, tokens, D)``.
            value: Of the same tokens. Shape ``(rows, key heads, tokens, D)``.
            scale: Factor of the scores; ``None`` is one over the root of ``D``.
            dropout: Of the probabilities.

        Returns:
            Shape ``(rows, heads, tokens, D)``.
        """


def layout_mask(layout: Layout, num_rows: int, num_tokens: int, device: torch.device) -> Tensor:
    """Make a mask that carries a layout. It takes no memory, and nothing but `layout_attention` may read it.

    Returns:
        Shape ``(num_rows, 1, num_tokens, num_tokens)``, bool.
    """
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device).expand(num_rows, 1, num_tokens, num_tokens)
    mask.attention_layout = layout  # type: ignore[attr-defined]
    return mask


def layout_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend as the mask's layout says, or by SDPA where the mask carries none; see transformers' interface."""
    layout: Layout | None = getattr(attention_mask, "attention_layout", None)
    if layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    layer: Any = module.layer_idx
    return layout.attend(layer, query, key, value, scaling, dropout).transpose(1, 2).contiguous(), None


AttentionInterface.register(SDPA_LAYOUT, layout_attention)
AttentionMaskInterface.register(SDPA_LAYOUT, sdpa_mask)


@contextmanager
def own_attention(model: PreTrainedModel) -> Iterator[None]:
    """Give the language model back the attention that it had before `install_layouts`."""
    config = model.config.get_text_config()
    installed = config._attn_implementation
    config._attn_implementation = "sdpa" if installed == SDPA_LAYOUT else installed
    try:
        yield
    finally:
        config._attn_implementation = installed


def frequencies_move(model: PreTrainedModel) -> str | None:
    """Say that rotary frequencies depend on the longest row of a batch, so that a long prompt changes a short one."""
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    kinds = {str(one.get("rope_type")) for one in (rope, *rope.values()) if isinstance(one, dict)}
    moving = sorted(kinds & {"dynamic", "longrope"})
    return f"its rotary frequencies (`{moving[0]}`) depend on the longest row" if moving else None


def install_layouts(model: PreTrainedModel) -> str | None:
    """Make the language model's SDPA understand layouts.

    Returns:
        Why the model can't share prompts, or ``None`` if nothing is known to be against it.
    """
    config = model.config.get_text_config()
    if (reason := frequencies_move(model)) is not None:
        return reason
    layers = getattr(config, "layer_types", None)
    # a model may have a window of which its layers' types say nothing
    if "sliding_attention" not in (layers or ()) and getattr(config, "sliding_window", None) is not None:
        return f"it has a sliding window of {config.sliding_window} tokens"
    kinds = set(layers or ["full_attention"])
    if kinds != {"full_attention"}:
        return f"it has layers of {' and '.join(sorted(kinds - {'full_attention'}))}"
    if config._attn_implementation == "flex_attention":
        return None
    if config._attn_implementation != "sdpa":
        return f"its attention is `{config._attn_implementation}`, not `sdpa` or `flex_attention`"
    config._attn_implementation = SDPA_LAYOUT
    return None

"""From prompts, each encoded alone, to one left-padded batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vrft_pl.types import Prompts


def collate(prompts: Prompts, pad_token_id: int) -> dict[str, Tensor]:
    """Batch prompts, padding tokens on the left.

    A tensor with one entry per token is padded with zeros (``input_ids`` with the pad token, and masked). Everything
    else a processor returns (patches, grids, sizes, pixel masks) is joined along its first axis; where the other axes
    differ, as with different numbers of tiles, it is padded with zeros at the end, which is how the processors
    themselves pad a batch.

    Returns:
        The keys of every prompt; ``input_ids`` and ``attention_mask`` have shape ``(P, S)``.
    """
    width = max(prompt.num_tokens for prompt in prompts)
    keys = {key: None for prompt in prompts for key in prompt.inputs}
    batch = {}
    for key in keys:
        if any(key in p.inputs and p.inputs[key].shape != p.inputs["input_ids"].shape for p in prompts):
            batch[key] = cat_padded([p.inputs[key] for p in prompts if key in p.inputs])
        else:
            fill = pad_token_id if key == "input_ids" else 0
            rows = [p.inputs.get(key, torch.zeros_like(p.inputs["input_ids"])) for p in prompts]
            batch[key] = torch.cat([F.pad(row, (width - row.shape[1], 0), value=fill) for row in rows])
    return batch


def cat_padded(tensors: Sequence[Tensor]) -> Tensor:
    """Join along the first axis; other axes are padded with zeros at the end to the largest size."""
    sizes = [max(t.shape[axis] for t in tensors) for axis in range(1, tensors[0].ndim)]
    padded = []
    for tensor in tensors:
        missing = [size - have for size, have in zip(sizes, tensor.shape[1:], strict=True)]
        padded.append(F.pad(tensor, [n for gap in reversed(missing) for n in (0, gap)]) if any(missing) else tensor)
    return torch.cat(padded)


def in_precision(inputs: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Cast what is not whole numbers, such as pictures, to the precision of the weights: not every tower does."""
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in inputs.items()}


def kept(value: Tensor, keep: int | Tensor) -> Tensor:
    """Take the columns that were asked for, of a model that may have computed all of them.

    Args:
        value: Shape ``(rows, columns, ...)``.
        keep: How many at the end of each row, or which.
    """
    if isinstance(keep, int):
        return value[:, -keep:]
    return value if value.shape[1] == len(keep) else value[:, keep]


def append_tokens(
    batch: dict[str, Any], ids: Tensor, mask: Tensor | None, num_prompt_tokens: int, token_type: int = 0
) -> dict[str, Any]:
    """Append tokens to every entry of a batch that has one value per token.

    Args:
        batch: A batch of `collate`.
        ids: Tokens to append to each row. Shape ``(rows, T)``.
        mask: True at those that are not padding; ``None`` where the caller makes a mask of its own. Shape
            ``(rows, T)``.
        num_prompt_tokens: ``S``, which tells entries per token from all others.
        token_type: ``token_type_ids`` of the tokens appended; every other entry gets 0.
    """
    zeros = torch.zeros_like(ids)
    extra = {"input_ids": ids, "attention_mask": zeros if mask is None else mask}
    extra["token_type_ids"] = torch.full_like(ids, token_type)
    shape = (ids.shape[0], num_prompt_tokens)
    return {
        key: torch.cat([value, extra.get(key, zeros).to(value.dtype)], dim=1)
        if isinstance(value, Tensor) and value.shape == shape
        else value
        for key, value in batch.items()
    }

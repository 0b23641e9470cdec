"""From prompts, each encoded alone, to one left-padded batch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vrft_pl.policy.joining import ROWS, Joint
from vrft_pl.types import Prompts


def collate(
    prompts: Prompts, pad_token_id: int, joints: Mapping[str, Joint] = MappingProxyType({})
) -> dict[str, Tensor]:
    """Batch prompts, padding tokens on the left.

    A tensor with one entry per token is padded with zeros (``input_ids`` with the pad token, and masked). Everything
    else a processor returns (patches, grids, sizes, pixel masks) is joined along its first axis; where the other axes
    differ, as with different numbers of tiles, it is padded with zeros at the end, which is how the processors
    themselves pad a batch.

    Args:
        prompts: The prompts.
        pad_token_id: What ``input_ids`` are padded with.
        joints: How keys are joined that are joined otherwise; see `learn_joints`.

    Returns:
        The keys of every prompt; ``input_ids`` and ``attention_mask`` have shape ``(P, S)``.
    """
    width = max(prompt.num_tokens for prompt in prompts)
    keys = {key: None for prompt in prompts for key in prompt.inputs}
    batch = {}
    for key in keys:
        if any(key in p.inputs and p.inputs[key].shape != p.inputs["input_ids"].shape for p in prompts):
            batch[key] = joints.get(key, ROWS).join(key, [p.inputs for p in prompts], width)
        else:
            fill = pad_token_id if key == "input_ids" else 0
            rows = [p.inputs.get(key, torch.zeros_like(p.inputs["input_ids"])) for p in prompts]
            batch[key] = torch.cat([F.pad(row, (width - row.shape[1], 0), value=fill) for row in rows])
    return batch


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
    batch: dict[str, Any],
    ids: Tensor,
    mask: Tensor | None,
    num_prompt_tokens: int,
    token_type: int = 0,
    joints: Mapping[str, Joint] = MappingProxyType({}),
) -> dict[str, Any]:
    """Append tokens to every entry of a batch that has one value per token, or several, which are those of the last.

    Args:
        batch: A batch of `collate`.
        ids: Tokens to append to each row. Shape ``(rows, T)``.
        mask: True at those that are not padding; ``None`` where the caller makes a mask of its own. Shape
            ``(rows, T)``.
        num_prompt_tokens: ``S``, which tells entries per token from all others.
        token_type: ``token_type_ids`` of the tokens appended; every other entry gets 0.
        joints: Says which entries have several values per token.
    """
    zeros = torch.zeros_like(ids)
    extra = {"input_ids": ids, "attention_mask": zeros if mask is None else mask}
    extra["token_type_ids"] = torch.full_like(ids, token_type)
    shape = (ids.shape[0], num_prompt_tokens)
    appended = dict(batch)
    for key, value in batch.items():
        if isinstance(value, Tensor) and value.shape == shape:
            appended[key] = torch.cat([value, extra.get(key, zeros).to(value.dtype)], dim=1)
        elif joints.get(key, ROWS).per_token:
            appended[key] = torch.cat([value, value[:, -1:].expand(-1, ids.shape[1], *value.shape[2:])], dim=1)
    return appended

"""Token by token behind a prefilled prompt: each group reads one copy of its prompt's cache, or a copy per completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from vrft_pl.policy import VLM
from vrft_pl.policy.attention import layout_mask
from vrft_pl.types import Prompts

FIRST_CAPACITY = 64
"""Tokens that the cache of completions has room for at first; it doubles when it is full."""


@dataclass(frozen=True)
class Prefill:
    """Prompts after their one forward pass."""

    cache: DynamicCache
    """Keys and values, one row a prompt."""
    mask: Tensor
    """True at tokens that are not padding. Shape ``(P, S)``."""
    position: Tensor
    """Of the last token. Shape ``(..., P, 1)``."""
    logits: Tensor
    """Of the first token of each completion. Shape ``(P, V)``."""


def prefill(policy: VLM, prompts: Prompts) -> Prefill:
    """Run the prompts through the model once."""
    inputs, positions = policy.batch(prompts)
    cache = DynamicCache(config=policy.hf_model.config.get_text_config())
    output = policy(**inputs, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
    mask = inputs["attention_mask"].bool()
    return Prefill(output.past_key_values, mask, positions[..., -1:], output.logits[:, -1])


class Decoder(Protocol):
    """Rows of completions that grow by one token a step."""

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row (``(rows,)``). Returns the logits of the next one, of shape ``(rows, V)``."""

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these, given in ascending order. Shape ``(kept,)``."""


class RepeatedPrompt:
    """Decodes on the model's own cache, in which each completion has a copy of its prompt.

    Args:
        policy: The policy.
        start: The prompts.
        group_size: ``G``.
    """

    def __init__(self, policy: VLM, start: Prefill, group_size: int) -> None:
        self.policy, self.cache = policy, start.cache
        self.cache.batch_repeat_interleave(group_size)
        self.mask = start.mask.repeat_interleave(group_size, dim=0).long()
        self.position = start.position.repeat_interleave(group_size, dim=-2)

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row; see `Decoder`."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        self.position = self.position + 1
        inputs: dict[str, Any] = {"input_ids": tokens[:, None], "attention_mask": self.mask}
        output = self.policy(**inputs, position_ids=self.position, past_key_values=self.cache, use_cache=True)
        return output.logits[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Drop rows; see `Decoder`."""
        self.cache.batch_select_indices(rows)
        self.mask, self.position = self.mask[rows], self.position.index_select(-2, rows)


class SharedPrompt:
    """Decodes on a cache that holds each prompt once, for policies that understand layouts.

    Args:
        policy: The policy.
        start: The prompts.
        group_size: ``G``.
    """

    def __init__(self, policy: VLM, start: Prefill, group_size: int) -> None:
        self.policy, self.group_size = policy, group_size
        self.prompt_keys, self.prompt_values = ([getattr(x, n) for x in start.cache.layers] for n in ("keys", "values"))
        self.unseen = None if bool(start.mask.all()) else ~start.mask[:, None, None, :]
        num_prompts = len(start.mask)
        self.owner = torch.arange(num_prompts, device=start.mask.device).repeat_interleave(group_size)
        self.position = start.position.repeat_interleave(group_size, dim=-2)
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.length = 0
        self._place()

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row; see `Decoder`."""
        self._make_room()
        self.position = self.position + 1
        mask = layout_mask(self, len(tokens), 1, tokens.device)
        inputs: dict[str, Any] = {"input_ids": tokens[:, None], "attention_mask": mask, "position_ids": self.position}
        logits = self.policy(**inputs, use_cache=False).logits[:, -1]
        self.length += 1
        return logits

    def keep(self, rows: Tensor) -> None:
        """Drop rows, and prompts that no row is left of; see `Decoder`."""
        self.keys, self.values = ([cache[rows] for cache in caches] for caches in (self.keys, self.values))
        self.position = self.position.index_select(-2, rows)
        prompts, self.owner = self.owner[rows].unique(return_inverse=True)
        if len(prompts) < len(self.prompt_keys[0]):
            self.prompt_keys = [cache[prompts] for cache in self.prompt_keys]
            self.prompt_values = [cache[prompts] for cache in self.prompt_values]
            self.unseen = None if self.unseen is None else self.unseen[prompts]
        self._place()

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None, dropout: float
    ) -> Tensor:
        """Attend from each new token to its prompt and to its own completion; see `Layout`."""
        own_keys, own_values = self.keys[layer], self.values[layer]
        own_keys[:, :, self.length], own_values[:, :, self.length] = key[:, :, 0], value[:, :, 0]
        num_rows, num_heads, _, width = query.shape
        per_key = num_heads // key.shape[1]
        queries = query.view(num_rows, -1, per_key, width) * (width**-0.5 if scale is None else scale)
        seen = slice(None, self.length + 1)
        own = queries @ own_keys[:, :, seen].transpose(2, 3)
        prompt = self._to_groups(queries) @ self.prompt_keys[layer].transpose(2, 3)
        if self.unseen is not None:
            prompt.masked_fill_(self.unseen, float("-inf"))
        scores = torch.cat([self._to_rows(prompt, per_key), own], dim=-1)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
        on_prompt, on_own = weights.split([prompt.shape[-1], own.shape[-1]], dim=-1)
        out = self._to_rows(self._to_groups(on_prompt) @ self.prompt_values[layer], per_key)
        return (out + on_own @ own_values[:, :, seen]).reshape(query.shape)

    def _to_groups(self, value: Tensor) -> Tensor:
        """Bring the rows of each prompt together: ``(rows, key heads, Q, D)`` to ``(P, key heads, slots * Q, D)``."""
        grid = value
        if not self.regular:
            grid = value.new_zeros(len(self.prompt_keys[0]) * self.slots, *value.shape[1:])
            grid[self.place] = value
        return grid.unflatten(0, (-1, self.slots)).transpose(1, 2).flatten(2, 3)

    def _to_rows(self, value: Tensor, per_key: int) -> Tensor:
        """Invert `_to_groups`."""
        grid = value.unflatten(2, (self.slots, per_key)).transpose(1, 2).flatten(0, 1)
        return grid if self.regular else grid[self.place]

    def _place(self) -> None:
        """Give each row a slot of its prompt."""
        counts = self.owner.bincount()
        self.slots = int(counts.max())
        self.regular = bool((counts == self.slots).all())
        first = counts.cumsum(0) - counts
        self.place = self.owner * self.slots + torch.arange(len(self.owner), device=counts.device) - first[self.owner]

    def _make_room(self) -> None:
        if not self.keys:
            shapes = [(len(self.owner), k.shape[1], FIRST_CAPACITY, k.shape[3]) for k in self.prompt_keys]
            self.keys = [k.new_empty(shape) for k, shape in zip(self.prompt_keys, shapes, strict=True)]
            self.values = [v.new_empty(shape) for v, shape in zip(self.prompt_values, shapes, strict=True)]
        elif self.length == self.keys[0].shape[2]:
            self.keys, self.values = (
                [torch.cat([c, torch.empty_like(c)], dim=2) for c in caches] for caches in (self.keys, self.values)
            )

"""Token by token behind a prefilled prompt, whose cache each group holds once or each completion holds again."""

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

    cache: Any
    """Keys and values, one row a prompt."""
    mask: Tensor
    """True at tokens that are not padding. Shape ``(P, S)``."""
    position: Tensor
    """Of the last token. Shape ``(..., P, 1)``."""
    logits: Tensor
    """Of the first token of each completion. Shape ``(P, V)``."""
    per_token: dict[str, Tensor]
    """What else the model is told of each token, such as which pictures it sees; of the last. Shape ``(P, 1, ...)``."""


def prefill(policy: VLM, prompts: Prompts) -> Prefill:
    """Run the prompts through the model once."""
    inputs, positions = policy.batch(prompts)
    cache = DynamicCache(config=policy.hf_model.config.get_text_config())
    output = policy(**inputs, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
    mask = inputs["attention_mask"].bool()
    told = {key: inputs[key][:, -1:] for key, joint in policy.codec.joints.items() if joint.per_token and key in inputs}
    return Prefill(output.past_key_values, mask, positions[..., -1:], output.logits[:, -1], told)


class Decoder(Protocol):
    """Rows of completions that grow by one token a step."""

    leave_at: float
    """Share of finished rows above which they should leave: it costs a copy of the cache of those that stay."""

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

    leave_at = 1 / 8

    def __init__(self, policy: VLM, start: Prefill, group_size: int) -> None:
        self.policy, self.cache = policy, start.cache
        self._select(torch.arange(len(start.mask), device=start.mask.device).repeat_interleave(group_size))
        self.mask = start.mask.repeat_interleave(group_size, dim=0).long()
        self.position = start.position.repeat_interleave(group_size, dim=-2)
        self.told = {key: value.repeat_interleave(group_size, dim=0) for key, value in start.per_token.items()}

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row; see `Decoder`."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        self.position = self.position + 1
        inputs: dict[str, Any] = {"input_ids": tokens[:, None], "attention_mask": self.mask, **self.told}
        output = self.policy(**inputs, position_ids=self.position, past_key_values=self.cache, use_cache=True)
        return output.logits[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Drop rows; see `Decoder`."""
        self._select(rows)
        self.mask, self.position = self.mask[rows], self.position.index_select(-2, rows)
        self.told = {key: value[rows] for key, value in self.told.items()}

    def _select(self, rows: Tensor) -> None:
        """Take rows of the cache, some of them several times.

        By the method of beam search, for it is the only one that linear attention and convolutions have as well.
        """
        self.cache.reorder_cache(rows)


class SharedPrompt:
    """Decodes on a cache that holds each prompt once, for policies that understand layouts.

    Completions have a cache of their own, a grid of ``slots`` a prompt: its shape is ``(P, key heads, slots, T, D)``.
    In half precision scores are rounded before the softmax, as in transformers' eager attention.

    Args:
        policy: The policy.
        start: The prompts.
        group_size: ``G``.
    """

    leave_at = 1 / 8

    def __init__(self, policy: VLM, start: Prefill, group_size: int) -> None:
        self.policy = policy
        layers = start.cache.layers
        self.prompts: list[tuple[Tensor, Tensor]] = [(layer.keys, layer.values) for layer in layers]
        self.unseen = None if bool(start.mask.all()) else ~start.mask[:, None, None, :]
        self.owner = torch.arange(len(start.mask), device=start.mask.device).repeat_interleave(group_size)
        self.slot = torch.arange(group_size, device=start.mask.device).repeat(len(start.mask))
        self.slots, self.full, self.length = group_size, True, 0
        self.own = [(self._room(keys), self._room(values)) for keys, values in self.prompts]
        self.position = start.position.repeat_interleave(group_size, dim=-2)

    def _room(self, cache: Tensor) -> Tensor:
        num_prompts, key_heads, _, width = cache.shape
        return cache.new_zeros(num_prompts, key_heads, self.slots, FIRST_CAPACITY, width)

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token to each row; see `Decoder`."""
        if self.length == self.own[0][0].shape[3]:
            self._grow()
        self.position += 1
        logits = self._run(tokens)
        self.length += 1
        return logits

    def _grow(self) -> None:
        """Double the room of the completions' cache."""
        self.own = [(torch.cat([k, k], dim=3), torch.cat([v, v], dim=3)) for k, v in self.own]

    def _run(self, tokens: Tensor) -> Tensor:
        """Run the model on one token a row. Returns logits of shape ``(rows, V)``."""
        mask = layout_mask(self, len(tokens), 1, tokens.device)
        inputs: dict[str, Any] = {"input_ids": tokens[:, None], "attention_mask": mask, "position_ids": self.position}
        return self.policy(**inputs, use_cache=False).logits[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Drop rows, and prompts that no row is left of; see `Decoder`."""
        prompts, owner = self.owner[rows].unique(return_inverse=True)
        counts = owner.bincount()
        slot = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[owner]
        slots = int(counts.max())
        old = torch.zeros(len(prompts), slots, dtype=torch.long, device=rows.device)
        old[owner, slot] = self.slot[rows]
        at = prompts[:, None], slice(None), old
        # an index between others brings the indexed axes to the front
        self.own = [(k[at].transpose(1, 2).contiguous(), v[at].transpose(1, 2).contiguous()) for k, v in self.own]
        if len(prompts) < len(self.prompts[0][0]):
            self.prompts = [(k[prompts], v[prompts]) for k, v in self.prompts]
            self.unseen = None if self.unseen is None else self.unseen[prompts]
        self.owner, self.slot, self.slots, self.full = owner, slot, slots, len(rows) == len(prompts) * slots
        self.position = self.position.index_select(-2, rows)

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None, dropout: float
    ) -> Tensor:
        """Attend from each new token to its prompt and to its own completion; see `Layout`."""
        (prompt_keys, prompt_values), (own_keys, own_values) = self.prompts[layer], self.own[layer]
        width, key_heads = query.shape[-1], key.shape[1]
        own_keys, own_values = (
            self._append(own_keys, self._to_grid(key)),
            self._append(own_values, self._to_grid(value)),
        )
        queries = self._to_grid(query * (width**-0.5 if scale is None else scale)).unflatten(1, (key_heads, -1))
        queries = queries.transpose(2, 3).contiguous()
        on_prompt = queries.flatten(2, 3) @ prompt_keys.transpose(2, 3)
        if self.unseen is not None:
            on_prompt.masked_fill_(self.unseen, float("-inf"))
        on_own = self._hide_room(queries @ own_keys.transpose(3, 4))
        scores = torch.cat([on_prompt.unflatten(2, queries.shape[2:4]), on_own], dim=-1)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
        on_prompt, on_own = weights.split([on_prompt.shape[-1], on_own.shape[-1]], dim=-1)
        out = on_own @ own_values + (on_prompt.flatten(2, 3) @ prompt_values).view(queries.shape)
        return self._to_rows(out.transpose(2, 3).flatten(1, 2))[:, :, None]

    def _append(self, cache: Tensor, token: Tensor) -> Tensor:
        """Write the new token behind the others. Returns what of the cache can be read."""
        cache[..., self.length, :] = token
        return cache[..., : self.length + 1, :]

    def _hide_room(self, scores: Tensor) -> Tensor:
        """Rule out what of the cache is not written yet."""
        return scores

    def _to_grid(self, value: Tensor) -> Tensor:
        """Give each row its slot: ``(rows, heads, 1, D)`` to ``(P, heads, slots, D)``; empty slots hold zeros."""
        shape = len(self.prompts[0][0]), self.slots
        if self.full:
            return value.view(*shape, *value.shape[1:2], value.shape[3]).transpose(1, 2)
        grid = value.new_zeros(*shape, value.shape[1], value.shape[3])
        grid[self.owner, self.slot] = value[:, :, 0]
        return grid.transpose(1, 2)

    def _to_rows(self, value: Tensor) -> Tensor:
        """Invert `_to_grid` but for the axis of one token."""
        return value.transpose(1, 2)[self.owner, self.slot] if not self.full else value.transpose(1, 2).flatten(0, 1)

"""One prompt, G completions, computed once: the row ``[prompt | c1 | ... | cG]``, its layout, positions and mask.

Every completion sees its prompt and itself, as if it were alone behind the prompt. The last token of a completion
predicts nothing, so it is not fed. Completions of one row stand beside each other without padding between them.
Further axes: ``F`` tokens fed of the longest completion, ``C`` columns of the longest row's completions, ``L = S + C``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from vrft_pl.policy.attention import layout_mask

PROMPT, NOTHING = -1, -2
"""What a column belongs to where it belongs to no completion."""


@dataclass(frozen=True)
class GroupRows:
    """Where the tokens of each group stand in its row."""

    prompt_mask: Tensor
    """True at prompt tokens that are not padding, which is on the left. Shape ``(P, S)``."""
    fed: Tensor
    """True at completion tokens that are fed. Shape ``(P, G, F)``."""
    index: Tensor
    """Column of each fed token among its row's completions; 0 where nothing is fed. Shape ``(P, G, F)``."""
    num_columns: int
    """``C``."""
    padded: bool
    """Whether some prompt is padded."""
    ragged: bool
    """Whether completions differ in length."""

    @staticmethod
    def of(prompt_mask: Tensor, completion_mask: Tensor) -> GroupRows:
        """Lay out prompts and their completions.

        Args:
            prompt_mask: Shape ``(P, S)``.
            completion_mask: True at the tokens of each completion. Shape ``(N, T)``.
        """
        prompt_mask = prompt_mask.bool()
        num_prompts, num_tokens = len(prompt_mask), completion_mask.shape[1] - 1
        fed = completion_mask[:, 1:].reshape(num_prompts, len(completion_mask) // num_prompts, num_tokens)
        flat = fed.flatten(1)
        index = (flat.cumsum(dim=1) - 1).view_as(fed).masked_fill(~fed, 0)
        columns = int(flat.sum(dim=1).max()) if num_tokens else 0
        return GroupRows(prompt_mask, fed, index, columns, not bool(prompt_mask.all()), not bool(fed.all()))

    @property
    def shape(self) -> tuple[int, int, int]:
        """``P``, ``G`` and ``F``."""
        num_prompts, group_size, num_fed = self.fed.shape
        return num_prompts, group_size, num_fed

    @property
    def num_prompt_tokens(self) -> int:
        """``S``."""
        return self.prompt_mask.shape[1]

    def pack(self, value: Tensor, fill: int = 0) -> Tensor:
        """Put one value a completion token (``(N, T)``) into rows (``(P, C)``), filled up where a row is short."""
        rows = value.new_full((len(self.prompt_mask), self.num_columns), fill)
        if self.num_columns:
            fed = value[:, :-1].reshape(self.fed.shape)
            rows[self._row_of_fed, self.index[self.fed]] = fed[self.fed]
        return rows

    def predictors(self, completion_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Find the token that predicts each completion token, padding left out.

        Args:
            completion_mask: Shape ``(N, T)``.

        Returns:
            Row and column, counted from the last prompt token, each of shape ``(M,)``, completions one after the other.
        """
        column = F.pad(self.index + 1, (1, 0))
        row = torch.arange(len(column), device=column.device)[:, None, None].expand_as(column)
        mask = completion_mask.view_as(column)
        return row[mask], column[mask]

    def positions(self, prompt_positions: Tensor) -> Tensor:
        """Continue the prompt's positions: token ``t`` of a completion stands ``1 + t`` after the prompt on every axis.

        Args:
            prompt_positions: Shape ``(..., P, S)``.

        Returns:
            Shape ``(..., P, L)``.
        """
        num_prompts, group_size, num_fed = self.shape
        steps = torch.arange(1, num_fed + 2, device=self.fed.device).expand(num_prompts * group_size, -1)
        return torch.cat([prompt_positions, prompt_positions[..., -1:] + self.pack(steps)], dim=-1)

    def owners(self) -> Tensor:
        """What each column belongs to: a completion's number in its group, `PROMPT` or `NOTHING`. Shape ``(P, L)``."""
        num_prompts, group_size, num_fed = self.shape
        numbers = torch.arange(1, group_size + 1, device=self.fed.device).repeat(num_prompts)
        completions = self.pack(numbers[:, None].expand(-1, num_fed + 1))
        completions = torch.where(completions > 0, completions - 1, NOTHING)
        return torch.cat([torch.where(self.prompt_mask, PROMPT, NOTHING), completions], dim=1)

    def layout_mask(self) -> Tensor:
        """Make the mask that carries this layout to `attend`. Shape ``(P, 1, L, L)``."""
        num_tokens = self.num_prompt_tokens + self.num_columns
        return layout_mask(self, len(self.fed), num_tokens, self.fed.device)

    def block_mask(self) -> BlockMask:
        """Make the same mask for FlexAttention. A token of padding sees itself, so that no row is empty."""
        owners = self.owners()
        num_prompts, num_tokens = owners.shape

        def sees(p: Tensor, _: Tensor, q: Tensor, k: Tensor) -> Tensor:
            kin = (owners[p, k] == PROMPT) | ((owners[p, k] == owners[p, q]) & (owners[p, k] != NOTHING))
            return (kin & (k <= q)) | (q == k)

        return create_block_mask(sees, num_prompts, None, num_tokens, num_tokens, device=str(owners.device))

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None, dropout: float
    ) -> Tensor:
        """Attend in two parts, prompts to themselves and each completion to its prompt and itself; see `Layout`.

        The work is that of the scores that are needed; only keys and values of the prompt are copied ``G`` times.
        """
        width, group_size = self.num_prompt_tokens, self.shape[1]
        query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast, rotary embeddings promote them
        options: dict[str, Any] = {"scale": scale, "dropout_p": dropout}
        q, k, v = (part[:, :, :width] for part in (query, key, value))
        seen = self._seen_by_prompts
        out = attention(q, k, v, attn_mask=seen, is_causal=seen is None, **options)
        if not self.num_columns:
            return out
        queries, *own = (self._unpack(part[:, :, width:]) for part in (query, key, value))
        keys, values = (
            torch.cat([part[:, None, :, :width].expand(-1, group_size, -1, -1, -1), tail], dim=3).flatten(0, 1)
            for part, tail in zip((key, value), own, strict=True)
        )
        seen = self._seen_by_completions
        completions = attention(queries.flatten(0, 1), keys, values, attn_mask=seen, **options)
        return torch.cat([out, self._repack(completions)], dim=2)

    @cached_property
    def _row_of_fed(self) -> Tensor:
        return torch.arange(len(self.fed), device=self.fed.device)[:, None, None].expand_as(self.fed)[self.fed]

    @cached_property
    def _seen_by_prompts(self) -> Tensor | None:
        """Shape ``(P, 1, S, S)``; ``None`` where plain causality says it all."""
        if not self.padded:
            return None
        width = self.num_prompt_tokens
        causal = torch.ones(width, width, dtype=torch.bool, device=self.fed.device).tril()
        itself = torch.eye(width, dtype=torch.bool, device=self.fed.device)
        return ((causal & self.prompt_mask[:, None, :]) | itself).unsqueeze(1)

    @cached_property
    def _seen_by_completions(self) -> Tensor:
        """Shape ``(N, 1, F, S + F)``, or a causal bias that flash kernels know. Padding stands behind what it pads."""
        num_fed, width = self.shape[2], self.num_prompt_tokens
        if not self.padded:
            return causal_lower_right(num_fed, width + num_fed)
        own = torch.ones(num_fed, num_fed, dtype=torch.bool, device=self.fed.device).tril()
        prompt = self.prompt_mask.repeat_interleave(self.shape[1], dim=0)[:, None, :].expand(-1, num_fed, -1)
        return torch.cat([prompt, own.expand(len(prompt), -1, -1)], dim=2).unsqueeze(1)

    def _unpack(self, value: Tensor) -> Tensor:
        """Spread a row's completions: ``(P, heads, C, D)`` to ``(P, G, heads, F, D)``."""
        num_prompts, group_size, num_fed = self.shape
        if not self.ragged:
            return value.unflatten(2, (group_size, num_fed)).transpose(1, 2)
        rows = torch.arange(num_prompts, device=value.device)[:, None, None]
        return value.transpose(1, 2)[rows, self.index].transpose(2, 3)

    def _repack(self, value: Tensor) -> Tensor:
        """Invert `_unpack`: ``(N, heads, F, D)`` to ``(P, heads, C, D)``."""
        num_prompts, group_size, num_fed = self.shape
        value = value.unflatten(0, (num_prompts, group_size))
        if not self.ragged:
            return value.transpose(1, 2).flatten(2, 3)
        rows = value.new_zeros(num_prompts, self.num_columns, value.shape[2], value.shape[-1])
        rows = rows.index_put((self._row_of_fed, self.index[self.fed]), value.transpose(2, 3)[self.fed])
        return rows.transpose(1, 2)


def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, **options: Any) -> Tensor:
    """SDPA with fewer key heads than query heads, on a kernel that does not write the scores down.

    On a GPU such kernels take either a mask or grouped heads, but not both.
    """
    if query.is_cuda and type(attn_mask) is Tensor:
        per_key = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(per_key, dim=1) for part in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, enable_gqa=True, **options)

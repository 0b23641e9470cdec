"""Short samples side by side in rows, ``[prompt 1, target 1 | prompt 2, target 2 | ...]``, none of which sees another.

Every sample has the positions it would have alone. The last token of a target predicts nothing, so it is not fed.
Further axes: ``R`` rows, ``L`` tokens of the longest row, ``W = S + T - 1`` tokens of a sample, padding included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from vrft_pl.policy.attention import layout_mask
from vrft_pl.policy.batching import append_tokens
from vrft_pl.policy.shared_prefix import NOTHING, attention
from vrft_pl.types import Completions, Prompts


def fill_rows(lengths: Sequence[int], most: int) -> tuple[tuple[int, ...], ...]:
    """Spread samples over few rows, the longest first.

    Each goes into the first row that has room. Where it shortens the longest row, to which all others are padded, each
    goes into the emptiest of as many rows instead.

    Args:
        lengths: Tokens of each sample.
        most: Most tokens of a row; a longer sample gets one of its own.

    Returns:
        Positions of the samples of each row.

    Example:
        >>> fill_rows([3, 9, 4, 2, 5], most=8), fill_rows([3, 3, 3, 3], most=9)
        (((1,), (4, 0), (2, 3)), ((0, 2), (1, 3)))
    """
    longest_first = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    rows: list[list[int]] = []
    for i in longest_first:
        row = next((row for row in rows if sum(lengths[j] for j in row) + lengths[i] <= most), None)
        if row is None:
            rows.append(row := [])
        row.append(i)
    level: list[list[int]] = [[] for _ in rows]
    for i in longest_first:
        min(level, key=lambda row: sum(lengths[j] for j in row)).append(i)
    longest = [max(sum(lengths[j] for j in row) for row in way) for way in (rows, level)]
    return tuple(tuple(row) for row in (level if longest[1] < min(longest[0], most + 1) else rows))


@dataclass(frozen=True)
class PackedRows:
    """Where the tokens of each sample stand."""

    rows: tuple[tuple[int, ...], ...]
    """Samples of each row by their position in the batch. Length ``R``."""
    prompt_lengths: tuple[int, ...]
    """Prompt tokens of each sample. Length ``P``."""
    lengths: tuple[int, ...]
    """Tokens that are fed of each sample, prompt included. Length ``P``."""
    device: torch.device
    """Where the tokens are."""

    @staticmethod
    def of(prompts: Prompts, completion_mask: Tensor, most: int) -> PackedRows:
        """Lay out prompts and the completion of each.

        Args:
            prompts: ``P`` prompts.
            completion_mask: True at the tokens of each completion, of which there is at least one. Shape ``(P, T)``.
            most: Most tokens of a row; a longer sample gets one of its own.
        """
        prompt_lengths = tuple(prompt.num_tokens for prompt in prompts)
        fed = completion_mask.sum(dim=1).tolist()
        lengths = tuple(width + num_tokens - 1 for width, num_tokens in zip(prompt_lengths, fed, strict=True))
        return PackedRows(fill_rows(lengths, most), prompt_lengths, lengths, completion_mask.device)

    @property
    def order(self) -> list[int]:
        """Samples in the order in which they stand, row after row, for the pictures to stand so too."""
        return [i for row in self.rows for i in row]

    @cached_property
    def num_tokens(self) -> int:
        """``L``."""
        return max(sum(self.lengths[i] for i in row) for row in self.rows)

    @cached_property
    def segments(self) -> list[list[int]]:
        """Tokens of each sample of each row, and of the padding behind them if there is any."""
        rows = [[self.lengths[i] for i in row] for row in self.rows]
        return [[*row, gap] if (gap := self.num_tokens - sum(row)) else row for row in rows]

    @cached_property
    def owners(self) -> Tensor:
        """The sample of each token, or `NOTHING` at padding. Shape ``(R, L)``."""
        rows = [
            torch.tensor([*row, NOTHING][: len(lengths)]).repeat_interleave(torch.tensor(lengths))
            for row, lengths in zip(self.rows, self.segments, strict=True)
        ]
        return torch.stack(rows).to(self.device)

    def pack(self, value: Tensor, fed: Tensor, fill: int = 0) -> Tensor:
        """Put one value a token into rows, filled up where a row is short.

        Args:
            value: Samples in the order of `order`. Shape ``(..., P, W)``.
            fed: True at tokens that are fed, samples likewise. Shape ``(P, W)``.
            fill: Value at padding.

        Returns:
            Shape ``(..., R, L)``.
        """
        rows = value.new_full((*value.shape[:-2], *self.owners.shape), fill)
        rows[..., self.owners != NOTHING] = value[..., fed]
        return rows

    def predictors(self, completion_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Find the token that predicts each completion token, padding left out.

        Args:
            completion_mask: Samples in the order of the batch. Shape ``(P, T)``.

        Returns:
            Row and column, each of shape ``(M,)``, completions one after the other.
        """
        first = torch.zeros(2, len(self.lengths), dtype=torch.long)
        for r, row in enumerate(self.rows):
            start = 0
            for i in row:
                first[:, i] = torch.tensor([r, start + self.prompt_lengths[i] - 1])
                start += self.lengths[i]
        row_of, column = first.to(self.device)[:, :, None].expand(-1, -1, completion_mask.shape[1])
        column = column + torch.arange(completion_mask.shape[1], device=self.device)
        return row_of[completion_mask], column[completion_mask]

    def layout_mask(self) -> Tensor:
        """Make the mask that carries this layout to `attend`. Shape ``(R, 1, L, L)``."""
        return layout_mask(self, len(self.rows), self.num_tokens, self.device)

    def block_mask(self) -> BlockMask:
        """Make the same mask for FlexAttention. Padding sees padding, so that no row is empty."""
        owners = self.owners

        def sees(row: Tensor, _: Tensor, q: Tensor, k: Tensor) -> Tensor:
            return (owners[row, q] == owners[row, k]) & (k <= q)

        return create_block_mask(sees, len(owners), None, self.num_tokens, self.num_tokens, device=str(self.device))

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None, dropout: float
    ) -> Tensor:
        """Attend sample by sample, each to itself; see `Layout`."""
        query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast, rotary embeddings promote them
        options: dict[str, Any] = {"attn_mask": None, "is_causal": True, "scale": scale, "dropout_p": dropout}
        out = []
        for segments, *row in zip(self.segments, query, key, value, strict=True):
            parts = zip(*(part[None].split(segments, dim=2) for part in row), strict=True)
            out.append(torch.cat([attention(*part, **options) for part in parts], dim=2))
        return torch.cat(out)


def pack_batch(
    rows: PackedRows,
    inputs: dict[str, Any],
    positions: Tensor,
    completions: Completions,
    pad_token_id: int,
    token_type: int,
) -> dict[str, Any]:
    """Put a left-padded batch of prompts and their completions into rows, the mask left out.

    Args:
        rows: Where each sample goes.
        inputs: Of the prompts, in the order of ``rows.order``.
        positions: Of the prompts' tokens, likewise. Shape ``(..., P, S)``.
        completions: One a prompt, in the order of the batch.
        pad_token_id: What rows are filled up with.
        token_type: ``token_type_ids`` of completion tokens.
    """
    ids, mask = completions.ids[rows.order, :-1], completions.mask[rows.order, 1:]
    inputs = append_tokens(inputs, ids, mask, inputs["input_ids"].shape[1], token_type)
    steps = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    positions = torch.cat([positions, positions[..., -1:] + steps], dim=-1)
    fed = inputs["attention_mask"].bool()
    packed = {
        key: rows.pack(value, fed, pad_token_id if key == "input_ids" else 0)
        for key, value in inputs.items()
        if isinstance(value, Tensor) and value.shape == fed.shape
    }
    packed["position_ids"] = rows.pack(positions, fed)
    return inputs | packed

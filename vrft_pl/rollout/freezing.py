"""Log-probabilities that stay while a window is trained on: of the policy that sampled, and of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch

from vrft_pl.policy import VLM
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.types import Completions, Prompts


def frozen_logprobs(
    prompts: Prompts,
    completions: Completions,
    sizes: Sequence[int],
    temperature: float,
    model: AbstractContextManager[VLM],
) -> TokenLogprobs:
    """Log-probs and entropy without gradient, in pieces of the micro-batches' sizes, which bound the memory.

    Args:
        prompts: ``P`` prompts.
        completions: ``N = P * G`` completions.
        sizes: Prompts of each micro-batch; they sum to ``P``.
        temperature: Of the sampling distribution.
        model: Gives the policy or its reference, in eval mode.

    Returns:
        Shape ``(N, T)``, float32.
    """
    rows = TokenLogprobs(*(torch.zeros_like(completions.mask, dtype=torch.float32) for _ in TokenLogprobs._fields))
    group_size, first = len(completions) // len(prompts), 0
    with model as policy:
        for size in sizes:
            index = range(first * group_size, (first + size) * group_size)
            part = completions.select(index)
            read = policy.logprobs(prompts[first : first + size], part, temperature)
            for whole, piece in zip(rows, read, strict=True):
                whole[index.start : index.stop, : piece.shape[1]] = piece
            first += size
    return rows

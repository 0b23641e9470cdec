"""Log-probabilities that stay while a window is trained on: of the policy that sampled, and of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from vrft_pl.policy import VLM
from vrft_pl.types import Completions, Prompts


def frozen_logprobs(
    prompts: Prompts,
    completions: Completions,
    sizes: Sequence[int],
    temperature: float,
    model: AbstractContextManager[VLM],
) -> Tensor:
    """Log-probs without gradient, in pieces of the micro-batches' sizes, which bound the memory.

    Args:
        prompts: ``P`` prompts.
        completions: ``N = P * G`` completions.
        sizes: Prompts of each micro-batch; they sum to ``P``.
        temperature: Of the sampling distribution.
        model: Gives the policy or its reference, in eval mode.

    Returns:
        Shape ``(N, T)``, float32.
    """
    rows = torch.zeros_like(completions.mask, dtype=torch.float32)
    group_size, first = len(completions) // len(prompts), 0
    with model as policy:
        for size in sizes:
            index = range(first * group_size, (first + size) * group_size)
            part = completions.select(index)
            logprobs = policy.logprobs(prompts[first : first + size], part, temperature).logprobs
            rows[index.start : index.stop, : logprobs.shape[1]] = logprobs
            first += size
    return rows

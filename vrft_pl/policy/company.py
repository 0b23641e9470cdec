"""A grey picture beside text alone, so that every rank of a distributed run goes through the vision tower."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vrft_pl.distributed import world_size
from vrft_pl.policy.comparisons import Comparable
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.probes import GREY
from vrft_pl.types import Completions, FinishReason, Prompts


def lacks_pictures(policy: Comparable, prompts: Prompts) -> bool:
    """Whether other ranks may wait for this one in a vision tower that these prompts have no use for.

    They do where the tower is trained, whose gradients are averaged, and where weights are sharded, which are gathered
    for each layer.
    """
    if world_size() == 1 or any(prompt.frame is not None for prompt in prompts):
        return False
    return (torch.is_grad_enabled() and not policy.sees_alike) or policy.is_spread


def with_picture(policy: Comparable, prompts: Prompts, completions: Completions) -> tuple[Prompts, Completions]:
    """Add a prompt with a grey picture and its group of completions, each of one token."""
    group_size = len(completions) // len(prompts)
    reasons: tuple[FinishReason, ...] = tuple("length" for _ in range(group_size))
    more = Completions(
        ids=_append(completions.ids, group_size, policy.end_token_ids[0]),
        mask=_append(completions.mask, group_size, 0),
        logprobs=None,
        texts=(*completions.texts, *("",) * group_size),
        finish_reasons=(*completions.finish_reasons, *reasons),
        frames=(*completions.frames, *(None,) * group_size),
    )
    more.mask[-group_size:, 0] = True
    return Prompts((*prompts.items, *policy.encode([GREY]).items)), more


def without_picture(scored: TokenLogprobs, num_completions: int) -> TokenLogprobs:
    """Leave out what belongs to the grey picture: the loss gives it a gradient of exactly 0."""
    return TokenLogprobs(*(value[:num_completions] for value in scored))


def _append(rows: Tensor, count: int, fill: int) -> Tensor:
    """Add rows at the end."""
    return F.pad(rows, (0, 0, 0, count), value=fill)

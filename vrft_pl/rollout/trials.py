"""Token by token against all at once: a decoder is believed where it gives the log-probs of the plain forward."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from vrft_pl.policy import VLM
from vrft_pl.policy.comparisons import complaint, computed_together, differ, probe
from vrft_pl.policy.probes import CODE_ERRORS
from vrft_pl.policy.verdicts import Verdict
from vrft_pl.rollout.decoding import Decoder, Prefill, prefill
from vrft_pl.types import Completions, InputError, Prompts

MakeDecoder = Callable[[VLM, Prefill, int], Decoder]
STEPS = 3
"""Tokens of each completion that are compared; before the last one, some rows leave."""


def trusts(policy: VLM, kind: type, plainer: bool) -> bool:
    """Whether a policy may decode so; every rank has to ask first at the same point.

    Args:
        policy: The policy.
        kind: The decoder's class.
        plainer: Whether there is a plainer decoder to fall back to.

    Raises:
        InputError: If it may not, and there is none.
    """
    assert policy.verdicts is not None, "the weights are not loaded"
    name = type(policy.hf_model).__name__
    warning = (
        f"{name} can't be decoded on a cache that holds each prompt once: {{reason}}. Each completion has a copy of "
        "its prompt instead, which takes more time and memory."
    )
    compare = partial(_steps_differ, kind=kind) if plainer else partial(_insist, kind=kind)
    return policy.verdicts.also(kind.__name__, lambda: Verdict(compare, warning)).allowed(policy)


def _insist(policy: VLM, kind: MakeDecoder) -> None:
    if (reason := _steps_differ(policy, kind)) is not None:
        name = type(policy.hf_model).__name__
        raise InputError(
            f"Expected {name} to continue a prompt token by token as it reads it at once, but {reason}. It can be "
            "trained on given answers only."
        )


def _steps_differ(policy: VLM, kind: MakeDecoder) -> str | None:
    """Say how far log-probs of a decoder are from those of the plain forward, if by more than rounding explains."""
    prompts = computed_together(policy)
    completions = probe(policy, prompts)
    with policy.evaluating():
        try:
            got, rows = _decoded(policy, kind, prompts, completions)
        except CODE_ERRORS as error:
            return complaint(error)
        plain = policy.plain_logprobs(prompts, completions).logprobs[:, : STEPS + 1]
        # what has left is not compared after that
        stays = torch.zeros_like(plain, dtype=torch.bool).index_fill(0, rows, True)
        stays[:, :STEPS] = True
        return differ(policy, got.where(stays, 0.0), plain.where(stays, 0.0))


def _decoded(policy: VLM, kind: MakeDecoder, prompts: Prompts, completions: Completions) -> tuple[Tensor, Tensor]:
    """Log-probs of the first tokens of given completions, ``(N, STEPS + 1)``, and the rows that stay to the last."""
    group_size = len(completions) // len(prompts)
    start = prefill(policy, prompts)
    decoder = kind(policy, start, group_size)
    logits = start.logits.repeat_interleave(group_size, dim=0)
    rows = torch.arange(len(completions), device=logits.device)
    found = torch.zeros(len(completions), STEPS + 1, device=logits.device, dtype=torch.float32)
    for step in range(STEPS + 1):
        tokens = completions.ids[rows, step]
        log_all = policy.scale(logits, 1.0).log_softmax(dim=-1)
        found[rows, step] = log_all.gather(1, tokens[:, None]).squeeze(1)
        if step == STEPS - 1:
            decoder.keep(stay := torch.arange(1, len(rows), 2, device=rows.device))
            rows, tokens = rows[stay], tokens[stay]
        if step < STEPS:
            logits = decoder.step(tokens)
    return found, rows

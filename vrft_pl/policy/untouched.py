"""The plain path against the untouched model, on which everything else rests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrft_pl.distributed import is_sharded
from vrft_pl.policy.attention import frequencies_move
from vrft_pl.policy.comparisons import (
    PROBE_TOKENS,
    Comparable,
    complaint,
    differ,
    pictured,
    probe,
    prompt_by_prompt,
)
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.probes import CODE_ERRORS, OTHERS, SEEN_OTHERWISE, SHAPES
from vrft_pl.types import Completions, InputError, Prompt, Prompts, Sample

MOST = 0.5
"""Nats in half precision that end a run: several times what only makes it slower."""


def prompts_are_mixed(policy: Comparable) -> str | None:
    """Say how far prompts of a batch are from what the untouched model says of each alone.

    Everything else is compared with the plain forward; this compares the plain forward with the untouched model.

    Raises:
        InputError: If a prompt alone has other log-probs than those of the untouched model, or if a picture changes
            nothing in them.
    """
    architecture, asked = type(policy.hf_model).__name__, pictured(policy)
    with policy.evaluating():
        try:
            known = standard(policy, asked)
            blind = sees_nothing(policy, known)
            prompts, completions = known.prompts, known.completions
            mixed = _problem(policy, lambda: policy.plain_logprobs(prompts, completions), known)
            mixed = mixed or frequencies_move(policy.hf_model) or gradients_break(policy, prompts, completions)
            alone = partial(prompt_by_prompt, policy.plain_logprobs, prompts, completions)
            reason = None if mixed is None else _problem(policy, alone, known, half=MOST)
        except CODE_ERRORS as error:
            reason = complaint(error)
    if reason is not None:
        raise InputError(
            f"Expected {architecture} to give a prompt the log-probs of the untouched model, but {reason}. "
            "Models of this architecture can't be trained here."
        )
    if blind:
        raise InputError(
            f"Expected another picture to change what {architecture} says, but every log-prob stays the same to the "
            "last bit. Its vision tower or projector is not connected, or holds zeros."
        )
    return mixed


def gradients_break(policy: Comparable, prompts: Prompts, completions: Completions) -> str | None:
    """Say that what flows back to the embeddings of a padded batch is not finite, though its log-probs are.

    Activations are asked and no parameters, which takes the memory of one small batch.
    """
    if is_sharded(policy.parameters()):  # ranks go through the same layers in evaluation only
        return None
    embedded: list[Tensor] = []

    def catch(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    with torch.enable_grad(), policy.hf_model.get_input_embeddings().register_forward_hook(catch):
        total = policy.plain_logprobs(prompts, completions).logprobs.sum()
        found = torch.autograd.grad(total, embedded, allow_unused=True)
    finite = all(bool(gradient.isfinite().all()) for gradient in found if gradient is not None)
    return None if finite else "gradients of padded prompts are not finite"


@dataclass(frozen=True)
class Standard:
    """What the untouched model says of the questions that it takes, each by itself."""

    prompts: Prompts
    """``P`` of them: with a picture, with one that is cut otherwise, with several and with none."""
    completions: Completions
    """Two of each."""
    rows: list[int]
    """Those that it was asked about: both of the first prompt, one of each other."""
    logprobs: Tensor
    """Shape ``(len(rows), T)``."""


def standard(policy: Comparable, asked: Prompts) -> Standard:
    """Ask the untouched model.

    Args:
        policy: The policy.
        asked: Prompts that it has to take.
    """
    first, *others = asked.items
    prompts, rows, found = [first], [0], [untouched(policy, asked[:1], probe(policy, asked[:1]).select([0]))]

    def ask(prompt: Prompt, row: int) -> None:
        alone = Prompts((prompt,))
        found.append(untouched(policy, alone, probe(policy, alone).select([row % 2])))
        rows.append(row)

    ask(first, 1)
    # several pictures before a single one: a model that reads a number too many of them moves all that follow
    for sample in (*OTHERS, *tiled_otherwise(policy, asked)):
        try:
            (prompt,) = policy.encode([sample])
            ask(prompt, 2 * len(prompts) + len(prompts) % 2)
        except (InputError, *CODE_ERRORS) as error:
            complaint(error)
            policy.untaken |= {len(sample.images)} - {1}
            continue
        prompts.append(prompt)
    for prompt in others:
        ask(prompt, 2 * len(prompts) + len(prompts) % 2)
        prompts.append(prompt)
    taken = Prompts(tuple(prompts))
    return Standard(taken, probe(policy, taken), rows, torch.cat(found))


def untouched(policy: Comparable, prompt: Prompts, completion: Completions) -> Tensor:
    """Log-probs of one completion of one prompt, as the model alone computes them. Shape ``(1, T)``."""
    logprobs = policy.untouched_logprobs(prompt, completion).logprobs
    return F.pad(logprobs, (0, max(PROBE_TOKENS) - logprobs.shape[1]))


def sees_nothing(policy: Comparable, known: Standard) -> bool:
    """Whether another picture of the same size leaves every log-prob as it is."""
    other = untouched(policy, policy.encode([SEEN_OTHERWISE]), known.completions.select([0]))
    return known.prompts.items[0].frame is not None and torch.equal(other, known.logprobs[:1])


def tiled_otherwise(policy: Comparable, asked: Prompts) -> tuple[Sample, ...]:
    """A question about a picture that is cut otherwise than those asked about, so that a batch has to be padded."""
    if all(value.ndim < 3 for prompt in asked for value in prompt.inputs.values()):
        return ()  # patches one after the other: there is nothing to pad
    usual = [_shapes(prompt) for prompt in asked]
    for sample in SHAPES:
        try:
            (prompt,) = policy.encode([sample])
        except InputError:  # no picture that is needed
            continue
        if _shapes(prompt) not in usual:
            return (sample,)
    return ()


def _shapes(prompt: Prompt) -> dict[str, tuple[int, ...]]:
    """Sizes of the axes of all tensors that do not count entries or tokens."""
    width = prompt.num_tokens
    return {key: tuple(value.shape[1:]) for key, value in prompt.inputs.items() if width not in value.shape}


def _problem(policy: Comparable, compute: Callable[[], TokenLogprobs], known: Standard, **bounds: float) -> str | None:
    """The same as `_differ`, for the untouched model."""
    try:
        return differ(policy, compute().logprobs[known.rows], known.logprobs, "the untouched model", **bounds)
    except CODE_ERRORS as error:
        return complaint(error)

"""Two ways to compute the same log-probs, side by side, on pictures that are always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from vrft_pl.policy.features import seen_by_what_is_trained
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.probes import CODE_ERRORS, PICTURED
from vrft_pl.types import Completions, FinishReason, Prompts, Sample

PROBE_TOKENS = (6, 8)
"""Tokens of the two completions of each prompt in a comparison."""


class Comparable(Protocol):
    """What a comparison asks of a policy; see `VLM`."""

    codec: Any
    untaken: set[int]

    @property
    def hf_model(self) -> PreTrainedModel: ...  # noqa: D102
    @property
    def sees_alike(self) -> bool: ...  # noqa: D102
    @property
    def is_spread(self) -> bool: ...  # noqa: D102
    @property
    def end_token_ids(self) -> tuple[int, ...]: ...  # noqa: D102
    def parameters(self) -> Iterable[Tensor]: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def banned_token_ids(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def pad_token_id(self) -> int: ...  # noqa: D102
    def may(self, way: Any) -> bool: ...  # noqa: D102
    def encode(self, samples: Sequence[Sample]) -> Prompts: ...  # noqa: D102
    def evaluating(self) -> AbstractContextManager[Any]: ...  # noqa: D102
    def batch(self, prompts: Prompts) -> tuple[dict[str, Any], Tensor]: ...  # noqa: D102
    def with_features(self, prompts: Prompts) -> Prompts: ...  # noqa: D102
    def plain_logprobs(self, prompts: Prompts, completions: Completions) -> TokenLogprobs: ...  # noqa: D102
    def shared_logprobs(self, prompts: Prompts, completions: Completions) -> TokenLogprobs: ...  # noqa: D102
    def untouched_logprobs(self, prompts: Prompts, completions: Completions) -> TokenLogprobs: ...  # noqa: D102
    def packed_logprobs(self, prompts: Prompts, completions: Completions, pack_tokens: int) -> TokenLogprobs: ...  # noqa: D102


def shared_differ(policy: Comparable) -> str | None:
    """Say how far log-probs of shared prompts are from plain ones, if by more than rounding explains."""
    prompts = computed_together(policy)
    completions = probe(policy, prompts)
    with policy.evaluating():
        plain = policy.plain_logprobs(prompts, completions).logprobs
        return _differ(policy, lambda: policy.shared_logprobs(prompts, completions), plain)


def packed_differ(policy: Comparable) -> str | None:
    """Say how far packed log-probs of four samples are from plain ones, if by more than rounding explains."""
    if not policy.may("batching"):
        return "it mixes the prompts of a batch"
    prompts = pictured(policy)
    completions = probe(policy, prompts)
    with policy.evaluating():
        twice = prompts.repeat_interleave(len(completions) // len(prompts))
        most = sum(prompt.num_tokens for prompt in twice) + completions.ids.numel()
        plain = policy.plain_logprobs(prompts, completions).logprobs
        return _differ(policy, lambda: policy.packed_logprobs(twice, completions, most), plain)


def features_differ(policy: Comparable) -> str | None:
    """Say what speaks against handing features back to the model. Its own code may raise what it likes."""
    prompts = computed_together(policy)
    completions = probe(policy, prompts)
    with policy.evaluating():
        plain = policy.plain_logprobs(prompts, completions).logprobs
        try:
            if (trained := seen_by_what_is_trained(policy.hf_model, prompts.items[0].inputs)) is not None:
                return f"what is seen depends on {trained}, which is trained"
            looked = policy.with_features(prompts)
            if "image_features" not in policy.batch(looked)[0]:
                return "features of pictures of different sizes can't be joined"
        except CODE_ERRORS as error:
            return complaint(error)
        return _differ(policy, lambda: policy.plain_logprobs(looked, completions), plain)


def _differ(policy: Comparable, compute: Callable[[], TokenLogprobs], plain: Tensor) -> str | None:
    """Say how far log-probs are from those of the plain forward; the model's code may raise what it likes."""
    try:
        return differ(policy, compute().logprobs, plain)
    except CODE_ERRORS as error:
        return complaint(error)


def computed_together(policy: Comparable) -> Prompts:
    """The prompts of a comparison that stand in one batch: one, where the model would mix them."""
    return pictured(policy) if policy.may("batching") else pictured(policy)[:1]


def pictured(policy: Comparable) -> Prompts:
    """Encode a question about each of the pictures."""
    return policy.encode(PICTURED)


def complaint(error: Exception) -> str:
    """Say what a model raised, as the reason for a verdict; memory that runs out is none."""
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    lines = str(error).splitlines() or [""]
    return f"it raises {type(error).__name__}: {lines[0]:.200}"


def differ(
    policy: Comparable, one: Tensor, other: Tensor, what: str = "the plain forward", half: float = 0.1
) -> str | None:
    """Say how far log-probs of two ways to compute them are apart, if by more than rounding explains.

    Args:
        policy: Whose precision is meant.
        one: Log-probs.
        other: The same log-probs, as they should be.
        what: Where those come from.
        half: Nats that rounding explains in half precision and where float32 products are rounded to it.
    """
    device = policy.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else policy.hf_model.dtype
    exact = dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
    # of the completion that differs most: a fault may spare the others
    gap, most = float((one - other).abs().mean(dim=1).max()), 1e-4 if exact else half
    return None if gap <= most else f"log-probs differ from those of {what} by {gap:.2g} (at most {most:g})"


def probe(policy: Comparable, prompts: Prompts) -> Completions:
    """Write two short completions to each prompt, of tokens that mean something to no one in particular."""
    lengths = torch.tensor(PROBE_TOKENS, device=policy.device).repeat(len(prompts))
    width = max(PROBE_TOKENS)
    vocabulary, banned = policy.hf_model.config.get_text_config().vocab_size, set(policy.banned_token_ids)
    allowed = [i for i in range(vocabulary) if i not in banned]
    # a token that was added may stand for media, whatever the config calls it
    added = set(policy.codec.tokenizer.get_added_vocab().values())
    ordinary = [i for i in allowed if i not in added] or allowed
    tokens = (ordinary * 2 * width)[-2 * width :]  # again and again where few may be written
    ids = torch.tensor(tokens, device=policy.device).view(2, width).repeat(len(prompts), 1)
    mask = torch.arange(width, device=policy.device) < lengths[:, None]
    ids, count = ids.masked_fill(~mask, policy.pad_token_id), len(lengths)
    reasons: tuple[FinishReason, ...] = tuple("length" for _ in range(count))
    return Completions(ids, mask, None, ("",) * count, reasons, (None,) * count)


def prompt_by_prompt(
    compute: Callable[[Prompts, Completions], TokenLogprobs], prompts: Prompts, completions: Completions
) -> TokenLogprobs:
    """Compute each prompt and its completions without the others.

    Args:
        compute: Gives log-probs of shape ``(G, T)`` for one prompt and its completions.
        prompts: ``P`` prompts.
        completions: ``N = P * G`` completions.
    """
    group_size, width = len(completions) // len(prompts), completions.ids.shape[1]
    groups = [range(first, first + group_size) for first in range(0, len(completions), group_size)]
    parts = [compute(prompts[i : i + 1], completions.select(group)) for i, group in enumerate(groups)]
    padded = ([F.pad(value, (0, width - value.shape[1])) for value in values] for values in zip(*parts, strict=True))
    return TokenLogprobs(*(torch.cat(values) for values in padded))

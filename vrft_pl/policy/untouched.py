"""Whether our batches give what the model says by itself: what a comparison with it, a prompt at a time, shows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from vrft_pl.answers import Number
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.packed_rows import PICTURES
from vrft_pl.policy.sharing import MODEL_ERRORS, complaint, differ, probe
from vrft_pl.types import Completions, InputError, Prompts, Sample

if TYPE_CHECKING:
    from vrft_pl.policy.vlm import VLM

MOST = 0.5
"""Nats in half precision that end a run: several times what only makes it slower."""


class Batching:
    """Remembers for one architecture whether prompts can stand in one batch. Copies of a policy share what was found.

    Everything else is compared with the plain forward; this compares the plain forward with the untouched model.

    Args:
        architecture: Name of the model's class, for messages.
    """

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self.decided: bool | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def allowed(self, policy: VLM) -> bool:
        """Whether different prompts are computed together; compares with the untouched model when it is asked first.

        The comparison is about pictures of its own, not about the batch at hand: ranks of a distributed run, whose
        batches differ, make it at the same step and find the same.

        Raises:
            InputError: If a prompt alone has other log-probs than those of the untouched model.
        """
        if self.decided is None:
            self.decided = self._together(policy)
            if not self.decided:
                warnings.warn(
                    f"{self.architecture} mixes the prompts of a batch: log-probs of each differ from those it has "
                    "alone. Prompts are computed one at a time instead, which takes more time.",
                    stacklevel=2,
                )
        return self.decided

    def _together(self, policy: VLM) -> bool:
        prompts = policy.encode([Sample("probe", (picture,), "?", Number(0.0), "answer") for picture in PICTURES])
        completions = probe(policy, prompts).select([0, 3])  # one of each length
        try:
            with policy.evaluating():
                expected = prompt_by_prompt(policy.untouched_logprobs, prompts, completions).logprobs
                if self._problem(policy, lambda: policy.plain_logprobs(prompts, completions), expected) is None:
                    return True
                alone = partial(prompt_by_prompt, policy.plain_logprobs, prompts, completions)
                reason = self._problem(policy, alone, expected, half=MOST)
        except MODEL_ERRORS as error:
            reason = complaint(error)
        if reason is not None:
            raise InputError(
                f"Expected {self.architecture} to give a prompt the log-probs of the untouched model, but {reason}. "
                "Models of this architecture can't be trained here."
            )
        return False

    @staticmethod
    def _problem(policy: VLM, compute: Callable[[], TokenLogprobs], expected: Tensor, **bounds: float) -> str | None:
        try:
            return differ(policy, compute().logprobs, expected, "the untouched model", **bounds)
        except MODEL_ERRORS as error:
            return complaint(error)


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

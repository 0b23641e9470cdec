"""Whether a model can share a prompt among its completions: what is known, and what a comparison shows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, Self

import torch

from vrft_pl.types import Completions, InputError, Prompts

if TYPE_CHECKING:
    from vrft_pl.policy.vlm import VLM

SharedPrefix = Literal["auto"] | bool
"""``auto`` shares prompts where a comparison allows it; ``True`` insists, ``False`` never does."""

PROBE_TOKENS = (3, 5)
"""Tokens of the two completions of each group that the comparison is made on: different, so that they are told apart."""


class PrefixSharing:
    """Remembers for one architecture whether prompts can be shared. Copies of a policy share what was found.

    Args:
        mode: What the user asked for.
        architecture: Name of the model's class, for messages.
        obstacle: Why prompts can't be shared, as far as the config tells; ``None`` if nothing is against it.

    Raises:
        InputError: If ``mode`` is ``True`` and there is an obstacle.
    """

    def __init__(self, mode: SharedPrefix, architecture: str, obstacle: str | None) -> None:
        if mode not in ("auto", True, False):
            raise ValueError(f"Expected `shared_prefix` to be `auto`, `true` or `false`, but got {mode!r}.")
        self.architecture = architecture
        self.decided: bool | None = None if mode == "auto" else bool(mode)
        if obstacle is not None:
            if mode is True:
                raise InputError(f"Expected {architecture} to share prompts, but {obstacle}. Use `shared_prefix: auto`.")
            if mode == "auto":
                self._give_up(obstacle)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def allowed(self, policy: VLM, prompts: Prompts) -> bool:
        """Whether prompts are shared; compares with the plain forward when it is asked first.

        Args:
            policy: A policy of this architecture.
            prompts: The batch at hand; the comparison uses its first two.
        """
        if self.decided is None:
            gap, tolerance = self._gap(policy, prompts[:2])
            self.decided = True
            if not gap <= tolerance:
                self._give_up(f"log-probs differ from those of the plain forward by {gap:.2g} (at most {tolerance:g})")
        return self.decided

    def _give_up(self, reason: str) -> None:
        self.decided = False
        warnings.warn(
            f"{self.architecture} can't share a prompt among its completions: {reason}. Prompts are computed once a "
            "completion instead, which is slower and takes more memory. `shared_prefix: false` says so without warning.",
            stacklevel=3,
        )

    @staticmethod
    def _gap(policy: VLM, prompts: Prompts) -> tuple[float, float]:
        """Mean difference of log-probs between shared and plain forward, and the most that rounding explains."""
        completions = probe(policy, prompts)
        with policy.evaluating():
            shared = policy.shared_logprobs(prompts, completions).logprobs
            plain = policy.plain_logprobs(prompts, completions).logprobs
        device = policy.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else policy.hf_model.dtype
        gap = (shared - plain).abs().sum() / completions.mask.sum()
        return float(gap), 1e-4 if dtype == torch.float32 else 0.1


def probe(policy: VLM, prompts: Prompts) -> Completions:
    """Write two short completions to each prompt, of tokens that mean something to no one in particular."""
    lengths = torch.tensor(PROBE_TOKENS, device=policy.device).repeat(len(prompts))
    width = max(PROBE_TOKENS)
    allowed = [i for i in range(policy.hf_model.config.get_text_config().vocab_size) if i not in policy.banned_token_ids]
    ids = torch.tensor(allowed[-2 * width :], device=policy.device).view(2, width).repeat(len(prompts), 1)
    mask = torch.arange(width, device=policy.device) < lengths[:, None]
    count = len(lengths)
    return Completions(ids.masked_fill(~mask, policy.pad_token_id), mask, None, ("",) * count, ("length",) * count, (None,) * count)

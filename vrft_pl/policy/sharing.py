"""Whether a model can share a prompt among its completions: what is known, and what a comparison shows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor

from vrft_pl.types import Completions, FinishReason, InputError, Prompts

if TYPE_CHECKING:
    from vrft_pl.policy.vlm import VLM

SharedPrefix = Literal["auto"] | bool
"""``auto`` shares prompts where a comparison allows it; ``True`` insists, ``False`` never does."""

MODEL_ERRORS = AttributeError, LookupError, RuntimeError, TypeError, ValueError
"""What the code of a model raises that is given what it does not understand."""
PROBE_TOKENS = (3, 5)
"""Tokens of the two completions of each prompt in a comparison."""


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
        self._text_alone = False
        if obstacle is not None:
            if mode is True:
                raise InputError(
                    f"Expected {architecture} to share prompts, but {obstacle}. Use `shared_prefix: auto`."
                )
            if mode == "auto":
                self._give_up(obstacle)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def allowed(self, policy: VLM, prompts: Prompts) -> bool:
        """Whether prompts are shared; compares with the plain forward when it is asked first.

        Args:
            policy: A policy of this architecture.
            prompts: The batch at hand; the comparison uses its first two with pictures, if there are any.
        """
        if self.decided is not None:
            return self.decided
        pictured = [i for i, prompt in enumerate(prompts) if prompt.frame is not None]
        if not pictured and self._text_alone:
            return True
        few = prompts.select(pictured[:2]) if pictured else prompts[:2]
        completions = probe(policy, few)
        with policy.evaluating():
            shared = policy.shared_logprobs(few, completions).logprobs
            plain = policy.plain_logprobs(few, completions).logprobs
        if difference := differ(policy, shared, plain):
            self._give_up(difference)
            return False
        # text alone says nothing of how pictures are treated: the first of them are compared again
        self.decided, self._text_alone = True if pictured else None, True
        return True

    def _give_up(self, reason: str) -> None:
        self.decided = False
        warnings.warn(
            f"{self.architecture} can't share a prompt among its completions: {reason}. Prompts are computed once a "
            "completion instead, which takes more time and memory. `shared_prefix: false` does so without warning.",
            stacklevel=3,
        )


class FeatureReuse:
    """Remembers for one architecture whether a frozen vision tower's features can be handed back to the model.

    Args:
        architecture: Name of the model's class, for the warning.
    """

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self.decided: bool | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def allowed(self, policy: VLM, prompts: Prompts) -> bool:
        """Whether features are reused; compares with the plain forward when it is asked first.

        Args:
            policy: A policy of this architecture.
            prompts: The batch at hand; the comparison uses its first two with pictures.
        """
        pictured = [i for i, prompt in enumerate(prompts) if prompt.frame is not None][:2]
        if self.decided is None and pictured:
            reason = self._obstacle(policy, prompts.select(pictured))
            self.decided = reason is None
            if reason:
                warnings.warn(
                    f"{self.architecture} can't reuse the features of its frozen vision tower: {reason}. They are "
                    "computed at every pass instead.",
                    stacklevel=2,
                )
        return self.decided is not False

    @staticmethod
    def _obstacle(policy: VLM, prompts: Prompts) -> str | None:
        """Say what speaks against reuse, if anything does. The model's own code may raise what it likes."""
        completions = probe(policy, prompts)
        with policy.evaluating():
            plain = policy.plain_logprobs(prompts, completions).logprobs
            try:
                looked = policy.with_features(prompts)
                if "image_features" not in policy.batch(looked)[0]:
                    return "features of pictures of different sizes can't be joined"
                reused = policy.plain_logprobs(looked, completions).logprobs
            except MODEL_ERRORS as error:
                return complaint(error)
        return differ(policy, reused, plain)


def complaint(error: Exception) -> str:
    """Say what a model raised, as the reason for a verdict; memory that runs out is none."""
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    lines = str(error).splitlines() or [""]
    return f"it raises {type(error).__name__}: {lines[0]:.200}"


def differ(policy: VLM, one: Tensor, other: Tensor, what: str = "the plain forward", half: float = 0.1) -> str | None:
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
    gap, most = float((one - other).abs().mean()), 1e-4 if exact else half
    return None if gap <= most else f"log-probs differ from those of {what} by {gap:.2g} (at most {most:g})"


def probe(policy: VLM, prompts: Prompts) -> Completions:
    """Write two short completions to each prompt, of tokens that mean something to no one in particular."""
    lengths = torch.tensor(PROBE_TOKENS, device=policy.device).repeat(len(prompts))
    width = max(PROBE_TOKENS)
    vocabulary, banned = policy.hf_model.config.get_text_config().vocab_size, set(policy.banned_token_ids)
    allowed = [i for i in range(vocabulary) if i not in banned]
    tokens = (allowed * 2 * width)[-2 * width :]  # again and again where few may be written
    ids = torch.tensor(tokens, device=policy.device).view(2, width).repeat(len(prompts), 1)
    mask = torch.arange(width, device=policy.device) < lengths[:, None]
    ids, count = ids.masked_fill(~mask, policy.pad_token_id), len(lengths)
    reasons: tuple[FinishReason, ...] = tuple("length" for _ in range(count))
    return Completions(ids, mask, None, ("",) * count, reasons, (None,) * count)

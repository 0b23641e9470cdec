"""Which faster ways a model may take: what is known of its architecture, and what a comparison shows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, Self, get_args

import torch

from vrft_pl.distributed import gather
from vrft_pl.policy.comparisons import (
    Comparable,
    features_differ,
    packed_differ,
    shared_differ,
)
from vrft_pl.policy.untouched import prompts_are_mixed
from vrft_pl.types import InputError

SharedPrefix = Literal["auto"] | bool
"""``auto`` shares prompts where a comparison allows it; ``True`` insists, ``False`` never does."""

Way = Literal["batching", "sharing", "packing", "feature_reuse"]
"""Ways that `Verdicts` decides on."""


class Verdict:
    """Remembers for one architecture whether a way may be taken. Copies of a policy share what was found.

    Args:
        compare: Says what is against it, ``None`` if nothing is. It runs the model on pictures of its own and not on
            the batch at hand, so that ranks of a distributed run, whose batches differ, compare the same.
        warning: Said once where the way is not taken, with ``{reason}``.
        decided: What is known beforehand.
    """

    def __init__(self, compare: Callable[[Any], str | None], warning: str, decided: bool | None = None) -> None:
        self.compare, self.warning, self.decided = compare, warning, decided

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def allowed(self, policy: Comparable) -> bool:
        """Whether the way is taken; every rank has to ask first at the same point, and all get one answer."""
        if self.decided is None:
            with torch.inference_mode(False):  # in which evaluation asks, and gradients tell nothing
                reasons = [reason for reason in gather(self.compare(policy)) if reason is not None]
            self.decided = not reasons
            if reasons:
                warnings.warn(self.warning.format(reason=reasons[0]), stacklevel=3)
        return self.decided


class Verdicts:
    """All ways of one architecture.

    Args:
        architecture: Name of the model's class, for messages.
        shared_prefix: What the user asked for.
        obstacle: Why prompts and samples can't share a row, as far as the config tells; ``None`` if nothing is against
            it.

    Raises:
        InputError: If ``shared_prefix`` is ``True`` and there is an obstacle.
    """

    def __init__(self, architecture: str, shared_prefix: SharedPrefix, obstacle: str | None) -> None:
        if obstacle is not None and shared_prefix is True:
            raise InputError(f"Expected {architecture} to share prompts, but {obstacle}. Use `shared_prefix: auto`.")
        self._also: dict[str, Verdict] = {}
        self._resumed: dict[str, bool | None] = {}
        self.batching = Verdict(
            prompts_are_mixed,
            f"{architecture} mixes the prompts of a batch: {{reason}}. Prompts are computed one at a time instead, "
            "which takes more time.",
        )
        """Whether different prompts are computed together."""
        self.sharing = Verdict(
            lambda policy: obstacle or shared_differ(policy),
            f"{architecture} can't share a prompt among its completions: {{reason}}. Prompts are computed once a "
            "completion instead, which takes more time and memory. `shared_prefix: false` does so without warning.",
            None if shared_prefix == "auto" else bool(shared_prefix),
        )
        """Whether a prompt is computed once for all of its completions."""
        self.packing = Verdict(
            lambda policy: obstacle or packed_differ(policy),
            f"{architecture} can't pack several samples into a row: {{reason}}. Each sample gets a row of its own "
            "instead, which takes more time and memory. Leaving out `pack_tokens` does so without warning.",
        )
        """Whether samples of supervised training stand side by side in a row."""
        self.feature_reuse = Verdict(
            features_differ,
            f"{architecture} can't reuse the features of its frozen vision tower: {{reason}}. They are computed at "
            "every pass instead.",
        )
        """Whether what a frozen vision tower sees is computed once."""

    def state_dict(self) -> dict[str, bool | None]:
        """What is decided: weights that have been trained since might be compared otherwise."""
        own = {way: getattr(self, way).decided for way in get_args(Way)}
        return own | {name: verdict.decided for name, verdict in self._also.items()} | self._resumed

    def load_state_dict(self, state_dict: dict[str, bool | None]) -> None:
        """Decide as the run did that is resumed."""
        self._resumed = {name: decided for name, decided in state_dict.items() if name not in get_args(Way)}
        for way in get_args(Way):
            if (decided := state_dict.get(way)) is not None:
                getattr(self, way).decided = decided

    def also(self, name: str, make: Callable[[], Verdict]) -> Verdict:
        """A verdict on something that the policy itself does not know of, such as a way to decode.

        Args:
            name: Under which it is kept.
            make: Makes it when it is asked for first.
        """
        if name not in self._also:
            self._also[name] = make()
            self._also[name].decided = self._resumed.pop(name, self._also[name].decided)
        return self._also[name]


def check_mode(shared_prefix: Any) -> None:
    """Raise `ValueError` for a mode that there is not."""
    if shared_prefix not in ("auto", True, False):
        raise ValueError(f"Expected `shared_prefix` to be `auto`, `true` or `false`, but got {shared_prefix!r}.")

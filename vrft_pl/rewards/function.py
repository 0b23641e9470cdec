"""A reward that is a plain function of the user's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrft_pl.rewards.base import Grades, Reward
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Completions, InputError, Sample

_LARGEST = torch.finfo(torch.float32).max


class FunctionReward(Reward):
    """Asks a function for the scores: ``function(texts: list[str], samples: list[Sample])`` returns ``N`` of them.

    The texts are whole completions without their end token, thoughts and tags included, those of one prompt beside each
    other; ``samples[i]`` is the question of ``texts[i]``. Coordinates in a text are in the policy's own space: a reward
    that needs pixels is a subclass of `Reward`. Scores come as a list, tuple, array or tensor of numbers or booleans;
    in place of a number, ``None`` or an `Unread` says that no answer can be read. While training, the function is
    called in a thread, and what it raises counts 0 unless the module says otherwise (`GuardedReward`).

    Args:
        function: The function; in YAML its import path, such as ``my_module.my_function``.
        low: Least score that the function may return.
        high: Greatest score that the function may return.
        name: Name in logs. Defaults to the name of the function.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``function`` can't be called, or ``low`` is not below ``high``.

    Example:
        >>> from vrft_pl.types import Sample
        >>> def brevity(texts, samples):
        ...     return [1 / len(text) if text else None for text in texts]
        >>> reward, sample = FunctionReward(brevity, low=0, high=1), Sample("1", (), "How many?", None)
        >>> reward.name, reward.read_scores(brevity(["a", "ab", ""], [sample] * 3), ["a", "ab", ""], [sample] * 3)
        ('brevity', [1.0, 0.5, None])
    """

    def __init__(
        self,
        function: Callable[..., Any],
        low: float | None = None,
        high: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not callable(function):
            raise ValueError(f"Expected `function` to be a function, but got {function!r}.")
        called = getattr(function, "__qualname__", type(function).__qualname__)
        super().__init__(name=name or called.rpartition(".")[2], **kwargs)
        self.bounds = (-math.inf if low is None else low, math.inf if high is None else high)
        if not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"Expected `low` to be below `high`, but got {low} and {high}.")
        self.function = function
        self.source = f"{getattr(function, '__module__', type(function).__module__)}.{called}"

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Ask the function for the whole batch.

        Raises:
            InputError: If it returns something else than one score in range for each completion.
        """
        returned = self.function(list(completions.texts), list(samples))
        return self.verdict(self.read_scores(returned, completions.texts, samples), completions, samples)

    def read_scores(
        self, returned: Any, texts: Sequence[str], samples: Sequence[Sample]
    ) -> list[float | Unread | None]:
        """Check what the function returned.

        Raises:
            InputError: If it is something else than one score in range for each text.
        """
        values = returned.tolist() if isinstance(returned, Tensor | np.ndarray) else returned
        if not isinstance(values, list | tuple) or len(values) != len(texts):
            got = (
                f"{len(values)}" if isinstance(values, list | tuple) else f"{type(returned).__name__} {returned!r:.80}"
            )
            raise InputError(
                f"Expected reward function `{self.source}` to return {len(texts)} scores, one a completion, in a list, "
                f"array or tensor, but got {got}."
            )
        return [self._read_score(value, texts[i], samples[i]) for i, value in enumerate(values)]

    def _read_score(self, value: Any, text: str, sample: Sample) -> float | Unread | None:
        if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1):
            value = value.item()
        if value is None or isinstance(value, Unread):
            return value
        low, high = self.bounds
        # float32 holds the scores
        if isinstance(value, int | float) and low <= value <= high and abs(value) <= _LARGEST:
            return float(value)
        limits = f" from {low} to {high}" if math.isfinite(low) or math.isfinite(high) else ""
        raise InputError(
            f"Expected reward function `{self.source}` to return finite numbers{limits}, booleans, `None` or `Unread`, "
            f"but got {value!r:.80} for sample {sample.id} and completion {text[:80]!r}."
        )

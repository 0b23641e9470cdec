"""Scores of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping

Scores = Mapping[str, float]
"""Metrics by logged name."""


def finite(scores: Scores) -> dict[str, float | None]:
    """Replace scores that JSON can't hold.

    Example:
        >>> finite({"a": float("nan"), "b": float("inf"), "c": 0.5})
        {'a': None, 'b': None, 'c': 0.5}
    """
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}

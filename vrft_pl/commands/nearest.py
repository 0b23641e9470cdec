"""Which name a misspelt one may have been meant for."""

from __future__ import annotations

import difflib
from collections.abc import Collection

PACKAGES = ("data", "rewards", "metrics", "callbacks", "modules", "algorithms", "rollout", "policy")
"""Of vrft_pl, whose classes a config names."""
ALIKE = 0.7
"""Share of two names that has to be the same."""


def closest(name: str, known: Collection[str]) -> str | None:
    """The name that is most alike, if any is alike.

    Example:
        >>> closest("max_step", ["max_steps", "min_steps"]), closest("boxiuo", ["BoxIoU"]), closest("x", ["max_steps"])
        ('max_steps', 'BoxIoU', None)
    """
    if len(name) > 100:
        return None
    names = {other.lower(): other for other in sorted(known, reverse=True) if other != name}
    return next((names[close] for close in difflib.get_close_matches(name.lower(), names, n=1, cutoff=ALIKE)), None)

"""Words that say that what stands beside them is not the answer."""

from __future__ import annotations

import re

_DENIAL = re.compile(
    r"\b(?:not|never|neither|nor|cannot|wrong|incorrect)\b|n['\u2019]t\b|^\W*+(?:except|anything|isnt)\b|\u4e0d\u662f",
    re.IGNORECASE,
)


def denies(text: str) -> bool:
    """Whether a text denies.

    Example:
        >>> denies("It is not"), denies("The knot:")
        (True, False)
    """
    return _DENIAL.search(text) is not None

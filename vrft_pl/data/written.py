"""Reading answers that are written as text."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d{1,3})?", re.ASCII)


def untagged(text: str) -> str:
    """Take the ``<answer>`` tags off an answer, with what stands around them.

    Example:
        >>> untagged("<think>I look.</think><answer> 3 </answer>"), untagged("12 cm ")
        ('3', '12 cm')
    """
    start, end = text.find("<answer>"), text.rfind("</answer>")
    return text[start + len("<answer>") : end].strip() if 0 <= start < end else text.strip()


def plain_number(text: str) -> float | None:
    """Read a finite decimal number in ASCII digits with nothing around it; ``None`` for anything else.

    Example:
        >>> plain_number("-2.50"), plain_number("1_000"), plain_number("nan"), plain_number("1e999")
        (-2.5, None, None, None)
    """
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None

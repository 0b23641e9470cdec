"""Does a policy score more with its pictures than with grey ones? By the numbers that `BlindAccuracy` logs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

CLEARLY = 0.02
"""Difference of two scores above which the picture matters: on 64 samples, less is one answer."""
_SEEN = re.compile(r"(?P<part>.+/blind/.+)/seen/(?P<metric>(?!parse_failures/).+)")


def unlooking(scores: Mapping[str, float | None]) -> list[str]:
    """A line for each held-out part of which no score is clearly higher with the picture than with a grey one.

    Args:
        scores: By logged name; of each, more is better.

    Example:
        >>> unlooking({"val/blind/id/seen/BoxIoU": 0.06, "val/blind/id/grey/BoxIoU": 0.05})
        ['val/blind/id: BoxIoU is 0.060 with the picture and 0.050 with a grey one: pictures do not matter to it yet.']
    """
    parts: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for name, seen in scores.items():
        if (found := _SEEN.fullmatch(name)) and seen is not None:
            grey = scores.get(f"{found['part']}/grey/{found['metric']}")
            if grey is not None:
                parts[found["part"]].append((found["metric"], seen, grey))
    return [
        f"{part}: {numbers[0][0]} is {numbers[0][1]:.3f} with the picture and {numbers[0][2]:.3f} with a grey one: "
        "pictures do not matter to it yet."
        for part, numbers in parts.items()
        if all(seen - grey <= CLEARLY for _, seen, grey in numbers)
    ]

"""Reading points, in the policy's own coordinates and order."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from vrft_pl.answers import XY
from vrft_pl.rewards.parsing.blocks import read_fence, unwrap
from vrft_pl.rewards.parsing.boxes import MAX_BOXES, MAX_LIST
from vrft_pl.rewards.parsing.notation import is_number, read_values
from vrft_pl.rewards.parsing.nothing import says_nothing
from vrft_pl.rewards.parsing.text import MAX_LABEL
from vrft_pl.rewards.parsing.tokens import with_points
from vrft_pl.rewards.parsing.unread import Unread
from vrft_pl.rewards.parsing.width import narrow

_KEYS = ("point_2d", "point", "position", "xy")


class PointList(NamedTuple):
    """An answered list of points."""

    items: tuple[XY, ...]
    """In the order of writing."""
    unreadable: int
    """Entries that are no point, or stand behind the first 1000; they are answers all the same."""


def parse_points(answer: str) -> PointList | Unread:
    """Read a list of points, or that there is nothing to point at.

    Reads ``[[x, y], ...]``, ``(x, y), (x, y)``, a single ``[x, y]``, and ``{"point_2d": [x, y], "label": ...}`` as
    Qwen2.5-VL writes it, in a list, beside each other or in a code fence, and Molmo's ``<point x="1" y="2">``. Words
    around them are no answer.

    Example:
        >>> parse_points('[{"point_2d": [1, 2], "label": "dog"}, [30, 40], [1, 2, 3]]')
        PointList(items=((1.0, 2.0), (30.0, 40.0)), unreadable=1)
        >>> parse_points("(1, 2)"), parse_points("[1, 2, 30, 40]"), parse_points("No Objects").items
        (PointList(items=((1.0, 2.0),), unreadable=0), <Unread.MALFORMED: 'malformed'>, ())
    """
    if len(answer) > MAX_LIST:
        return Unread.TOO_LONG
    answer = with_points(read_fence(unwrap(narrow(answer)))).removesuffix(".")
    if not answer:
        return Unread.EMPTY
    if len(answer) <= MAX_LABEL and says_nothing(answer, {}):
        return PointList((), 0)
    values = read_values(answer)
    if isinstance(values, Unread):
        return values
    entries = _entries(values.items)
    if entries is None:
        return Unread.MALFORMED
    points = [point for entry in entries if (point := _point(entry)) is not None]
    if entries and not points:
        return Unread.MALFORMED if values.complete else Unread.TRUNCATED
    points = points[:MAX_BOXES]
    return PointList(tuple(points), len(entries) - len(points))


def _entries(values: list[Any]) -> list[Any] | None:
    """The entries of a list, in whatever brackets or under one key; ``None`` where something else stands there."""
    if len(values) == 1 and isinstance(values[0], dict) and len(values[0]) == 1 and _point(values[0]) is None:
        values = list(values[0].values())
    if _point(values) is not None:
        return [values]
    while len(values) == 1 and _point(values[0]) is None and isinstance(values[0], list):
        values = values[0]
        if _point(values) is not None:
            return [values]
        if not values:
            return []
    if not all(isinstance(value, list | dict) for value in values):
        return None
    return values or None


def _point(value: Any) -> XY | None:
    """Two finite numbers, in a list or under the key of a point."""
    if isinstance(value, dict):
        fields = {key.lower(): entry for key, entry in value.items()}
        value = next((fields[key] for key in _KEYS if key in fields), None)
    if isinstance(value, list) and len(value) == 2 and all(map(is_number, value)) and all(map(math.isfinite, value)):
        return value[0], value[1]
    return None

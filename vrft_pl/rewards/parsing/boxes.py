"""Reading boxes, in the policy's own coordinates: a reward converts them by the frame of the prompt."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from vrft_pl.data.prompts import NO_OBJECTS
from vrft_pl.rewards.parsing.blocks import MAX_ANSWER, unwrap
from vrft_pl.rewards.parsing.notation import NUMBER, Values, Word, is_number, read_values
from vrft_pl.rewards.parsing.text import MAX_LABEL, normalize_label
from vrft_pl.rewards.parsing.unread import Unread
from vrft_pl.solutions import XYXY

MAX_LIST = 32_768
"""Characters of a list of boxes that is still read."""
_BOX_KEYS = ("bbox_2d", "bbox", "box", "position")
_CONFIDENCE_KEYS = ("confidence", "conf", "score")
_LABEL_KEYS = ("label", "category", "class", "name")


class Detection(NamedTuple):
    """One answered object."""

    xyxy: XYXY
    """In the policy's coordinates, with an area."""
    confidence: float | None
    """Finite, in no range; ``None`` where none was written."""
    label: str | None


class Detections(NamedTuple):
    """An answered list of objects."""

    items: tuple[Detection, ...]
    """In the order of writing."""
    unreadable: int
    """Entries that are no box; they are answers all the same."""


def parse_box(answer: str) -> XYXY | Unread:
    """Read the one box of an answer.

    Reads ``[x1, y1, x2, y2]``, ``(x1,y1),(x2,y2)``, ``{"bbox_2d": [...], "label": ...}``, in lists and code fences, and
    four numbers with words around them. Several boxes are no answer.
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    answer = unwrap(answer)
    values = read_values(answer)
    if isinstance(values, Values):
        entries, boxes = _entries(values.items), []
        if any(isinstance(entry, list | dict) for entry in entries):
            boxes = [box for box in map(_corners, entries) if box is not None]
        if len(boxes) == 1 and len(entries) == 1:
            return _checked(boxes[0])
        if len(boxes) > 1:
            return Unread.AMBIGUOUS
        if not values.complete:
            return Unread.TRUNCATED
        if entries and not any(isinstance(entry, Word) for entry in values.items):
            return Unread.MALFORMED
    elif values == Unread.TOO_LONG:
        return values
    numbers = [float(match) for match in NUMBER.findall(answer.replace("bbox_2d", ""))]
    if len(numbers) != 4:
        return Unread.AMBIGUOUS if len(numbers) > 4 else Unread.MALFORMED
    return _checked(numbers)


def parse_detections(answer: str) -> Detections | Unread:
    """Read a list of boxes, each with a confidence and a label if they are written, or ``No Objects``.

    Reads ``{'Position': [x1, y1, x2, y2], 'Confidence': c}``, ``{"bbox_2d": [...], "label": ...}``, bare boxes, and
    ``[x1, y1, x2, y2, c]``, in a list or beside each other. Of a list that is cut, the complete entries count.
    """
    if len(answer) > MAX_LIST:
        return Unread.TOO_LONG
    answer = unwrap(answer)
    if normalize_label(answer[:MAX_LABEL]) == normalize_label(NO_OBJECTS):
        return Detections((), 0)
    values = read_values(answer)
    if isinstance(values, Unread):
        return values
    if any(not isinstance(item, list | dict) for item in values.items):
        return Unread.MALFORMED
    entries = _entries(values.items)
    items = [item for item in map(_detection, entries) if item is not None]
    if entries and not items:
        return Unread.MALFORMED
    if not entries and not values.complete:
        return Unread.TRUNCATED
    return Detections(tuple(items), len(entries) - len(items))


def _entries(values: list[Any]) -> list[Any]:
    """The entries of an answered list: beside each other, in a list, or in the only list of a dictionary."""
    if _corners(values) is not None:
        return [values]
    if len(values) == 1 and _corners(values[0]) is None:
        only = values[0]
        if isinstance(only, dict) and len(only) == 1:
            only = next(iter(only.values()))
        if isinstance(only, list) and len(only) != 5:
            return only
        if isinstance(only, list) and not all(is_number(value) for value in only):
            return only
    return values


def _corners(value: Any) -> list[float] | None:
    """Four numbers of a list, of two points, or under the key of a box; not yet checked."""
    if isinstance(value, dict):
        value = _field(value, _BOX_KEYS)
    if not isinstance(value, list):
        return None
    if len(value) == 2 and all(isinstance(point, list) and len(point) == 2 for point in value):
        value = [*value[0], *value[1]]
    return value if len(value) == 4 and all(is_number(v) for v in value) else None


def _field(entry: dict[str, Any], keys: tuple[str, ...]) -> Any:
    lower = {key.lower(): value for key, value in entry.items()}
    return next((lower[key] for key in keys if key in lower), None)


def _checked(corners: list[float]) -> XYXY | Unread:
    x1, y1, x2, y2 = corners
    if not all(math.isfinite(v) for v in corners):
        return Unread.NOT_FINITE
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else Unread.NO_AREA


def _detection(entry: Any) -> Detection | None:
    confidence, label = None, None
    if isinstance(entry, dict):
        confidence, label = _field(entry, _CONFIDENCE_KEYS), _field(entry, _LABEL_KEYS)
    elif isinstance(entry, list) and len(entry) == 5:
        *entry, confidence = entry
    corners = _corners(entry)
    box = None if corners is None else _checked(corners)
    if box is None or isinstance(box, Unread):
        return None
    number = confidence if isinstance(confidence, float) and math.isfinite(confidence) else None
    return Detection(box, number, str(label) if isinstance(label, str) else None)

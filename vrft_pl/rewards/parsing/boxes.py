"""Reading boxes, in the policy's own coordinates: a reward converts them by the frame of the prompt."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from vrft_pl.answers import NO_OBJECTS, XYXY
from vrft_pl.names import normalize_name
from vrft_pl.rewards.parsing.blocks import MAX_ANSWER, read_fence, unwrap
from vrft_pl.rewards.parsing.notation import NUMBER, Word, is_number, read_values
from vrft_pl.rewards.parsing.text import MAX_LABEL
from vrft_pl.rewards.parsing.unread import Unread

MAX_LIST = 20_000
"""Characters of a list of boxes that is still read."""
MAX_BOXES = 1000
"""Boxes of a list that are compared; further ones are wrong."""
_BOX_KEYS = ("bbox_2d", "bbox", "box", "position")
_CONFIDENCE_KEYS = ("confidence", "conf", "score")
_LABEL_KEYS = ("label", "category", "class", "name")
_TOKENS = re.compile(r"<\|object_ref_start\|>[^<]*+<\|object_ref_end\|>|<\|[a-z_]++\|>")
_ITEM_MARK = re.compile(r"^[ \t]*+(?:[0-9]++[.)]|[-*])[ \t]++(?=[\[({])", re.MULTILINE)
_CONFIDENCE = re.compile(rf"\s*+({NUMBER.pattern})\s*+(%?)\s*+")


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
    """Entries that are no box, or stand behind the first ``MAX_BOXES`` boxes; they are answers all the same."""


def parse_box(answer: str) -> XYXY | Unread:
    """Read the one box of an answer.

    Reads ``[x1, y1, x2, y2]``, ``(x1,y1),(x2,y2)``, ``{"bbox_2d": [...], "label": ...}``, in lists and code fences,
    with words before and after; where there is one closed fence, only what is in it. Several boxes are no answer, nor
    is a list that is cut: it may have gone on.

    Example:
        >>> parse_box("The dog: (1,2),(30,40)"), parse_box("[[1, 2, 30, 40], [5, 6, 70, 80]]")
        ((1.0, 2.0, 30.0, 40.0), <Unread.AMBIGUOUS: 'ambiguous'>)
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    values = read_values(_plain(answer))
    if isinstance(values, Unread):
        return values
    entries = _entries([item for item in values.items if not isinstance(item, Word)])
    boxes = [corners for corners in map(_corners, entries) if corners is not None]
    if len(boxes) > 1:
        return Unread.AMBIGUOUS
    if not values.complete:
        return Unread.TRUNCATED
    return _checked(boxes[0]) if len(boxes) == 1 and len(entries) == 1 else Unread.MALFORMED


def parse_detections(answer: str) -> Detections | Unread:
    """Read a list of boxes, each with a confidence and a label if they are written, or ``No Objects``.

    Reads ``{'Position': [x1, y1, x2, y2], 'Confidence': c}``, ``{"bbox_2d": [...], "label": ...}``, bare boxes, pairs
    of points, ``[x1, y1, x2, y2, c]`` and ``[x1, y1, x2, y2, label]``, in a list, numbered or beside each other, also
    with Qwen's tokens. Words are allowed around one closed code fence only. A confidence under its key may be a string,
    or ``90%``. Of a list that is cut, the complete entries count; boxes after the first 1000 count as unreadable.

    Example:
        >>> parse_detections('[{"bbox_2d": [1, 2, 30, 40], "label": "dog"}, {"bbox_2d": [5, 6], "label": "cat"}]')
        Detections(items=(Detection(xyxy=(1.0, 2.0, 30.0, 40.0), confidence=None, label='dog'),), unreadable=1)
    """
    if len(answer) > MAX_LIST:
        return Unread.TOO_LONG
    answer = _plain(answer)
    if not answer:
        return Unread.EMPTY
    if normalize_name(answer[:MAX_LABEL]) == normalize_name(NO_OBJECTS):
        return Detections((), 0)
    values = read_values(answer)
    if isinstance(values, Unread):
        return values
    listed = all(isinstance(item, list | dict) for item in values.items) or _corners(values.items) is not None
    if not values.items or not listed:
        return Unread.MALFORMED
    answers = [_detection(entry) for entry in _entries(values.items)]
    items = tuple(item for item in answers if isinstance(item, Detection))
    if answers and not items:
        return Unread.TRUNCATED if not values.complete else next(a for a in answers if isinstance(a, Unread))
    items = items[:MAX_BOXES]
    return Detections(items, len(answers) - len(items))


def _plain(answer: str) -> str:
    """Take off what models put around and between boxes: fences, special tokens, numbers of items, a full stop."""
    answer = read_fence(unwrap(_TOKENS.sub(" ", answer)))
    return _ITEM_MARK.sub("", answer).removesuffix(".")


def _entries(values: list[Any]) -> list[Any]:
    """The entries of an answered list: beside each other, in a list, or in the only list of a dictionary."""
    if _corners(values) is not None:
        return [values]
    if len(values) == 1 and _corners(values[0]) is None:
        only = values[0]
        if isinstance(only, dict) and len(only) == 1:
            only = next(iter(only.values()))
        if _corners(only) is not None:
            return [only]
        if isinstance(only, list) and not (len(only) == 5 and is_number(only[0])):
            values = only
    if len(values) > 2 and all(isinstance(v, list) and len(v) == 2 and all(map(is_number, v)) for v in values):
        return [values[i : i + 2] for i in range(0, len(values), 2)]
    return values


def _corners(value: Any) -> list[float] | None:
    """Four numbers of a list, of two points, or under the key of a box; not yet checked."""
    if isinstance(value, dict):
        value = _field(_lower(value), _BOX_KEYS)
    if not isinstance(value, list):
        return None
    if len(value) == 2 and all(isinstance(point, list) and len(point) == 2 for point in value):
        value = [*value[0], *value[1]]
    return value if len(value) == 4 and all(map(is_number, value)) else None


def _lower(entry: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in entry.items()}


def _field(entry: dict[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        if key in entry:
            return entry[key]
    return None


def _checked(corners: list[float]) -> XYXY | Unread:
    x1, y1, x2, y2 = corners
    if not all(map(math.isfinite, corners)):
        return Unread.NOT_FINITE
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else Unread.NO_AREA


def _detection(entry: Any) -> Detection | Unread:
    confidence, label = None, None
    if isinstance(entry, dict):
        fields = _lower(entry)
        confidence, label, entry = (_field(fields, keys) for keys in (_CONFIDENCE_KEYS, _LABEL_KEYS, _BOX_KEYS))
        if isinstance(confidence, str) and (written := _CONFIDENCE.fullmatch(confidence)):
            confidence = float(written[1]) / (100 if written[2] else 1)
    elif isinstance(entry, list) and len(entry) == 5:
        *entry, confidence = entry
        label = confidence
    corners = _corners(entry)
    box = Unread.MALFORMED if corners is None else _checked(corners)
    if isinstance(box, Unread):
        return box
    number = confidence if isinstance(confidence, float) and math.isfinite(confidence) else None
    return Detection(box, number, str(label) if isinstance(label, str) else None)

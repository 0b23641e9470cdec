"""Reading boxes, in the policy's own coordinates: a reward converts them by the frame of the prompt."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from vrft_pl.answers import XYXY
from vrft_pl.names import normalize_name
from vrft_pl.rewards.parsing.blocks import MAX_ANSWER, read_fence, unwrap
from vrft_pl.rewards.parsing.denial import denies
from vrft_pl.rewards.parsing.notation import NUMBER, Word, is_number, read_values
from vrft_pl.rewards.parsing.nothing import says_nothing, word_forms
from vrft_pl.rewards.parsing.text import MAX_LABEL
from vrft_pl.rewards.parsing.tokens import with_boxes
from vrft_pl.rewards.parsing.unread import Unread
from vrft_pl.rewards.parsing.width import narrow

MAX_LIST = 20_000
"""Characters of a list of boxes that is still read."""
MAX_BOXES = 1000
"""Boxes of a list that are compared; further ones are wrong."""
_BOX_KEYS = ("bbox_2d", "bbox", "box", "position")
_Y_FIRST_KEY = "box_2d"
"""What Gemini and Gemma call a box whose edges are top, left, bottom, right: read only where that is what is asked."""
_CONFIDENCE_KEYS = ("confidence", "conf", "score")
_LABEL_KEYS = ("label", "category", "class", "name")
_REFERENCE = re.compile(  # of Qwen2-VL, InternVL and DeepSeek-VL2
    r"<\|object_ref_start\|>([^<]*+)<\|object_ref_end\|>|<ref>([^<]*+)</ref>|<\|ref\|>([^<]*+)<\|/ref\|>"
)
_MARK, _UNQUOTABLE = "<ref>", str.maketrans({"\\": None, '"': None})
_NUMBERS_IN_TAGS = re.compile(r"<box>([^<\[(]*+)</box>")
_TOKENS = re.compile(r"<\|/?[a-z_]++\|>|</?box>")
_ITEM_MARK = re.compile(
    r"^[ \t]*+(?:[0-9]++[.)]|[-*])[ \t]++(?=[\[({]|[^\W\d_][^\n:\[\]]{0,64}:[ \t]*+\[)", re.MULTILINE
)
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


def parse_box(answer: str, y_first: bool = False) -> XYXY | Unread:
    """Read the one box of an answer.

    Reads ``[x1, y1, x2, y2]``, ``(x1,y1),(x2,y2)``, ``{"bbox_2d": [...], "label": ...}``, in lists and code fences,
    with words before and after; where there is one closed fence, only what is in it. Several boxes are no answer, nor
    is a list that is cut: it may have gone on. Nor is a box beside words that deny it.

    Args:
        answer: Content of the answer.
        y_first: Whether the policy is asked for ``y1, x1, y2, x2``; only then ``box_2d`` is the key of a box.

    Returns:
        The edges in the order of writing, or why there are none.

    Example:
        >>> parse_box("The dog: (1,2),(30,40)"), parse_box("[[1, 2, 30, 40], [5, 6, 70, 80]]")
        ((1.0, 2.0, 30.0, 40.0), <Unread.AMBIGUOUS: 'ambiguous'>)
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    answer = _REFERENCE.sub(" ", with_boxes(narrow(answer)))
    values = read_values(_plain(answer))
    if isinstance(values, Unread):
        return values
    if _denies_fence(answer) or any(map(_denies, values.items)):
        return Unread.MALFORMED
    form = _Form(y_first)
    entries = form.entries([item for item in values.items if not _is_words(item)])
    boxes = [corners for corners in map(form.corners, entries) if corners is not None]
    if len(boxes) > 1:
        return Unread.AMBIGUOUS
    if not values.complete:
        return Unread.TRUNCATED
    return _checked(boxes[0]) if len(boxes) == 1 and len(entries) == 1 else Unread.MALFORMED


def parse_detections(answer: str, categories: tuple[str, ...] = (), y_first: bool = False) -> Detections | Unread:
    """Read a list of boxes, each with a confidence and a label if they are written, or that there is nothing to find.

    Reads ``{'Position': [x1, y1, x2, y2], 'Confidence': c}``, ``{"bbox_2d": [...], "label": ...}``, bare boxes, pairs
    of points, ``[x1, y1, x2, y2, c]`` and ``[x1, y1, x2, y2, label]``, in a list, numbered or beside each other, also
    with the tokens of Qwen, InternVL and DeepSeek-VL. A word that names a category which is asked for may stand before
    its boxes or behind each, or be their key: ``dog: [...]``, ``[...] (dog)``. Other words are allowed around one
    closed code fence only. A confidence under its key may be a string, or ``90%``. Of a list that is cut, the complete
    entries count; boxes after the first 1000 count as unreadable.

    Args:
        answer: Content of the answer.
        categories: Those asked for.
        y_first: See `parse_box`.

    Example:
        >>> parse_detections('[{"bbox_2d": [1, 2, 30, 40], "label": "dog"}, {"bbox_2d": [5, 6], "label": "cat"}]')
        Detections(items=(Detection(xyxy=(1.0, 2.0, 30.0, 40.0), confidence=None, label='dog'),), unreadable=1)
        >>> parse_detections("<ref>dog</ref><box>[[1, 2, 30, 40]]</box>")
        Detections(items=(Detection(xyxy=(1.0, 2.0, 30.0, 40.0), confidence=None, label='dog'),), unreadable=0)
    """
    if len(answer) > MAX_LIST:
        return Unread.TOO_LONG
    denied = _denies_fence(narrow(answer))
    answer = _plain(_REFERENCE.sub(_quoted_label, with_boxes(narrow(answer))))
    if not answer:
        return Unread.EMPTY
    names = word_forms(categories)
    if len(answer) <= MAX_LABEL and says_nothing(answer, names):
        return Detections((), 0)
    values = read_values(answer)
    if isinstance(values, Unread):
        return values
    if denied:
        return Unread.MALFORMED
    form = _Form(y_first, names)
    items = form.labelled(values.items)
    if not items and not values.complete:
        return Unread.TRUNCATED
    if not items or not (all(isinstance(item, list | dict) for item in items) or form.corners(items)):
        return Unread.MALFORMED
    answers = [_detection(entry, form) for entry in form.entries(items)]
    found = tuple(item for item in answers if isinstance(item, Detection))
    if answers and not found:
        return Unread.TRUNCATED if not values.complete else next(a for a in answers if isinstance(a, Unread))
    found = found[:MAX_BOXES]
    return Detections(found, len(answers) - len(found))


def _is_words(value: Any) -> bool:
    """Whether a value is words, also in brackets."""
    return isinstance(value, Word) or (isinstance(value, list) and value != [] and all(map(_is_words, value)))


def _denies(value: Any) -> bool:
    """Whether words that stand beside a box, in brackets or as a key too, say that it is not the answer."""
    if isinstance(value, list | dict):
        return any(_denies(part) for part in value if isinstance(value, dict) or isinstance(part, list | Word))
    return isinstance(value, str) and denies(value)


def _denies_fence(text: str) -> bool:
    """Whether the words around the only code fence of a text deny what is in it."""
    parts = text.split("```", maxsplit=3)
    return len(parts) == 3 and any(map(denies, (parts[0], parts[2])))


def _quoted_label(reference: re.Match[str]) -> str:
    label = next(group for group in reference.groups() if group is not None)
    return f' "{_MARK}{label.strip().translate(_UNQUOTABLE)}" '


def _plain(answer: str) -> str:
    """Take off what models put around and between boxes: fences, special tokens, numbers of items, a full stop."""
    answer = _TOKENS.sub(" ", _NUMBERS_IN_TAGS.sub(r"[\1]", answer)) if "<" in answer else answer
    return _ITEM_MARK.sub("", read_fence(unwrap(answer))).removesuffix(".")


class _Form:
    """What counts as a box and as a label in one answer.

    Args:
        y_first: See `parse_box`.
        names: Words that are labels; see `word_forms`.
    """

    def __init__(self, y_first: bool, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self.keys = (_Y_FIRST_KEY, *_BOX_KEYS) if y_first else _BOX_KEYS
        self.names = names

    def entries(self, values: list[Any]) -> list[Any]:
        """The entries of an answered list: beside each other, in a list, or in the only list of a dictionary."""
        if self.corners(values) is not None:
            return [values]
        if len(values) == 1 and self.corners(values[0]) is None:
            only = values[0]
            if isinstance(only, dict) and len(only) == 1 and _Y_FIRST_KEY not in only:
                only = next(iter(only.values()))
            if self.corners(only) is not None:
                return [only]
            if isinstance(only, list) and not (len(only) == 5 and is_number(only[0])):
                values = only
        if len(values) > 2 and all(isinstance(v, list) and len(v) == 2 and all(map(is_number, v)) for v in values):
            return [values[i : i + 2] for i in range(0, len(values), 2)]
        return values

    def corners(self, value: Any) -> list[float] | None:
        """Four numbers of a list, of two points, or under the key of a box; not yet checked."""
        if isinstance(value, dict):
            value = _field(_lower(value), self.keys)
        if not isinstance(value, list):
            return None
        if len(value) == 2 and all(isinstance(point, list) and len(point) == 2 for point in value):
            value = [*value[0], *value[1]]
        return value if len(value) == 4 and all(map(is_number, value)) else None

    def labelled(self, values: list[Any]) -> list[Any]:
        """Give boxes the labels that stand beside them or are their keys; nothing where other words do."""
        if len(values) == 1 and isinstance(values[0], dict) and all(map(self.label, values[0])) and values[0]:
            values = [part for pair in values[0].items() for part in pair]
        labels = [self.label(value) for value in values]
        if not any(labels):
            return values
        marks = [i for i, label in enumerate(labels) if label]
        if marks[0] == 0:
            spans = [(mark, mark + 1, end) for mark, end in pairwise([*marks, len(values)])]
        else:
            spans = [(mark, start, mark) for start, mark in zip([0, *(i + 1 for i in marks)], marks, strict=False)]
        result = []
        for mark, start, end in spans:
            boxes = self.entries(values[start:end])
            if marks[0] and (len(boxes) != 1 or marks[-1] != len(values) - 1):
                return []
            result += [self._with_label(box, labels[mark]) for box in boxes]
        return result

    def label(self, value: Any) -> str | None:
        """The label that a value is: a reference, or a word, in brackets, quotes or neither, that is asked for."""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str):
            return None
        if value.startswith(_MARK):
            return value.removeprefix(_MARK)
        return self.names.get(normalize_name(value)) if self.names and len(value) <= MAX_LABEL else None

    def _with_label(self, value: Any, label: str | None) -> Any:
        if isinstance(value, list) and len(value) == 5 and is_number(value[0]):
            return {"bbox": value[:4], "confidence": value[4], "label": label}
        corners = self.corners(value)
        confidence = _field(_lower(value), _CONFIDENCE_KEYS) if isinstance(value, dict) else None
        return value if corners is None else {"bbox": corners, "confidence": confidence, "label": label}


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


def _detection(entry: Any, form: _Form) -> Detection | Unread:
    confidence, label = None, None
    if isinstance(entry, dict):
        fields = _lower(entry)
        confidence, label, entry = (_field(fields, keys) for keys in (_CONFIDENCE_KEYS, _LABEL_KEYS, form.keys))
        if isinstance(confidence, str) and (written := _CONFIDENCE.fullmatch(confidence)):
            confidence = float(written[1]) / (100 if written[2] else 1)
    elif isinstance(entry, list) and len(entry) == 5:
        *entry, confidence = entry
        label = confidence
    corners = form.corners(entry)
    box = Unread.MALFORMED if corners is None else _checked(corners)
    if isinstance(box, Unread):
        return box
    number = confidence if isinstance(confidence, float) and math.isfinite(confidence) else None
    return Detection(box, number, str(label) if isinstance(label, str) else None)

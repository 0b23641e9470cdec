"""Reading what a policy wrote: a value, or ``None``. Linear in the length of the text; never raises."""

from __future__ import annotations

import math
import re
from enum import Enum

from vrft_pl.data.prompts import TAGS
from vrft_pl.solutions import XYXY
from vrft_pl.types import AnswerStyle


class Unread(Enum):
    """Why no answer can be read in a completion: the closed list of reasons, in the order of the log."""

    NO_ANSWER = "no_answer"
    """No ``<answer>`` block, or several, or one that is open or inside the thoughts."""
    EMPTY = "empty"
    """An answer without content."""
    TOO_LONG = "too_long"
    """More characters, items or levels than any honest answer has."""
    MALFORMED = "malformed"
    """Not of the kind that was asked for."""
    AMBIGUOUS = "ambiguous"
    """Several answers where one was asked for."""
    NOT_FINITE = "not_finite"
    """Not a finite number."""
    NO_AREA = "no_area"
    """A box that is inverted or has no area."""
    TRUNCATED = "truncated"
    """Stops before the first complete item."""
    TIMEOUT = "timeout"
    """Not judged within the time limit."""
    NO_PICTURE = "no_picture"
    """Coordinates where there is no picture to place them in."""


_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TEENS = (
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
)
_WORDS = {word: value for value, word in enumerate(_UNITS + _TEENS)}
_MAX_ANSWER = 4096
"""Characters of an answer that is still read; longer ones are no number and no box."""


def read_blocks(text: str, tags: tuple[str, ...]) -> dict[str, str] | None:
    """Read exactly one block of each tag, in order, none empty, nothing but white space outside.

    Returns:
        The content of each block, or ``None`` when the text has another form. No content may hold a tag of its own.
    """
    contents, position = {}, 0
    for tag in tags:
        opening, closing = f"<{tag}>", f"</{tag}>"
        start = text.find(opening, position)
        end = text.find(closing, start + len(opening)) if start >= 0 else -1
        if end < 0 or text[position:start].strip():
            return None
        contents[tag] = text[start + len(opening) : end]
        position = end + len(closing)
    marks = [mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")]
    if text[position:].strip() or not all(content.strip() for content in contents.values()):
        return None
    if any(mark in content for content in contents.values() for mark in marks):
        return None
    return contents


def read_answer(text: str, style: AnswerStyle) -> str | Unread:
    """Find the answer in a completion, whatever the form around it.

    With tags asked for, that is the content of the only ``<answer>`` block; two blocks are no answer, and what the
    thoughts say never counts. In the bare style it is the whole text.
    """
    if not TAGS[style]:
        return text.strip() or Unread.EMPTY
    visible = text.partition("</think>")[2] if "</think>" in text else text
    if "<think>" in visible or visible.count("<answer>") != 1 or visible.count("</answer>") != 1:
        return Unread.NO_ANSWER
    _, _, rest = visible.partition("<answer>")
    answer, closed, _ = rest.partition("</answer>")
    if not closed or "</think>" in rest:
        return Unread.NO_ANSWER
    return answer.strip() or Unread.EMPTY


def parse_number(answer: str, words: bool = False) -> float | None:
    """Read an answer that is a number and nothing else: ``3``, ``3.0``, ``-2e1``, ``1,234``.

    Args:
        answer: Content of the answer.
        words: Also read ``zero`` to ``twenty``.
    """
    answer = answer.strip().removesuffix(".") if len(answer) <= _MAX_ANSWER else ""
    if words and answer.lower() in _WORDS:
        return float(_WORDS[answer.lower()])
    if re.fullmatch(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", answer, re.ASCII):
        answer = answer.replace(",", "")
    if _NUMBER.fullmatch(answer) is None:
        return None
    value = float(answer)
    return value if math.isfinite(value) else None


def parse_box(answer: str) -> XYXY | None:
    """Read the one box of an answer, in the policy's coordinates.

    Reads ``[x1, y1, x2, y2]``, ``(x1,y1),(x2,y2)`` and the same with other brackets, words or keys without digits
    around the four numbers (``bbox_2d`` is known). Fewer or more than four numbers, or a box without area, are no box.
    """
    if len(answer) > _MAX_ANSWER:
        return None
    numbers = [float(match) for match in _NUMBER.findall(answer.replace("bbox_2d", ""))]
    if len(numbers) != 4 or not all(math.isfinite(v) for v in numbers):
        return None
    x1, y1, x2, y2 = numbers
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None

"""Reading what a policy wrote: a value, or ``None``. Linear in the length of the text; never raises."""

from __future__ import annotations

import math
import re

from vrft_pl.data.prompts import TAGS
from vrft_pl.types import XYXY, AnswerStyle

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


def read_answer(text: str, style: AnswerStyle) -> str | None:
    """Find the answer in a completion, whatever the form around it.

    With tags asked for, that is the content of the only ``<answer>`` block; two blocks are no answer, and what the
    thoughts say never counts. In the bare style it is the whole text.
    """
    if not TAGS[style]:
        return text.strip() or None
    visible = text.partition("</think>")[2] if "</think>" in text else text
    if "<think>" in visible:
        return None
    if visible.count("<answer>") != 1 or visible.count("</answer>") != 1:
        return None
    _, _, rest = visible.partition("<answer>")
    answer, closed, _ = rest.partition("</answer>")
    if not closed or "</think>" in rest:
        return None
    return answer.strip() or None


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

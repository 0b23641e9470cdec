"""Reading values in JSON or Python notation as models write them: linear in the text, without recursion."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from vrft_pl.rewards.parsing.unread import Unread

NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)
"""A decimal number."""
_TOKEN = re.compile(
    r"""[\[\](){},;:]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+'|[^\s\[\](){},;:"']++""", re.DOTALL
)
_BLANKS = re.compile(r"\s*+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CLOSES = {"]": "[", ")": "(", "}": "{"}
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}
_NOT_FINITE = {"nan", "inf", "infinity"}
_MAX_DEPTH = 16
_MISSING: Any = object()


class Word(str):
    """Text without quotes."""


class Values(NamedTuple):
    """The values that stand beside each other in a text."""

    items: list[Any]
    """Numbers (as float), booleans, ``None``, strings, `Word`, lists and dictionaries."""
    complete: bool
    """Whether every bracket and string was closed; what was cut is left out."""


class _Open:
    """A bracket that is not closed yet."""

    def __init__(self, bracket: str) -> None:
        self.bracket = bracket
        self.items: list[Any] = []
        self.keys: list[Any] = []
        self.last_is_word = False

    def add(self, value: Any) -> None:
        """Append a value; words without quotes that follow each other are one."""
        if isinstance(value, Word) and self.last_is_word:
            self.items[-1] = Word(f"{self.items[-1]} {value}")
        else:
            self.items.append(value)
        self.last_is_word = isinstance(value, Word)

    def key(self) -> bool:
        """Turn the last value into the key of the next one; false where that makes no sense."""
        if self.bracket != "{" or len(self.items) != len(self.keys) + 1 or not isinstance(self.items[-1], str):
            return False
        self.keys.append(self.items.pop())
        self.items.append(_MISSING)
        self.last_is_word = False
        return True

    def put(self, value: Any) -> None:
        """Append a value, or give it to the key that waits for one."""
        if self.items and self.items[-1] is _MISSING:
            self.items.pop()
            self.last_is_word = False
        self.add(value)

    def value(self) -> Any:
        """The list or dictionary; a dictionary in which a key or a value is missing is ``_MISSING``."""
        if self.bracket != "{":
            return self.items
        whole = len(self.keys) == len(self.items) and not any(item is _MISSING for item in self.items)
        return dict(zip(self.keys, self.items, strict=True)) if whole else _MISSING


def read_values(text: str) -> Values | Unread:
    """Read the values of a text: what JSON and Python write, mixed, with trailing commas and bare words.

    A text that stops inside brackets keeps the complete items of the outermost one.

    Args:
        text: At most some ten thousand characters; the caller limits it.

    Returns:
        The values, or why there are none: brackets that don't match, keys without values, or too many levels.

    Example:
        >>> read_values("[{'Position': [1, 2, 3.5, 4], Label: red car,}, {'Position': [1")
        Values(items=[[{'Position': [1.0, 2.0, 3.5, 4.0], 'Label': 'red car'}]], complete=False)
    """
    root = _Open("")
    stack, position = [root], _skip(text, 0)
    complete = True
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:  # a string that is never closed
            complete = False
            break
        mark = token.group()
        top = stack[-1]
        if mark in "[({":
            if len(stack) > _MAX_DEPTH:
                return Unread.TOO_LONG
            stack.append(_Open(mark))
        elif mark in _CLOSES:
            if top.bracket != _CLOSES[mark]:
                return Unread.MALFORMED
            value = stack.pop().value()
            if value is _MISSING:
                return Unread.MALFORMED
            stack[-1].put(value)
        elif mark in ",;":
            top.last_is_word = False
        elif mark == ":":
            if not top.key():
                return Unread.MALFORMED
        else:
            top.put(_scalar(mark))
        position = _skip(text, token.end())
    if len(stack) > 1:
        complete = False
        outermost = stack[1]
        if len(stack) == 2 and outermost.items and not isinstance(outermost.items[-1], list | dict):
            outermost.items.pop()  # a number at the end may have lost digits
        if outermost.bracket != "{":
            root.items.append(outermost.items)
    return Values(root.items, complete) if complete or root.items else Unread.TRUNCATED


def _skip(text: str, position: int) -> int:
    blanks = _BLANKS.match(text, position)
    assert blanks is not None
    return blanks.end()


def _scalar(mark: str) -> Any:
    if mark[0] in "\"'":
        return _ESCAPE.sub(r"\1", mark[1:-1])
    if NUMBER.fullmatch(mark):
        return float(mark)
    lower = mark.lower()
    if lower in _CONSTANTS:
        return _CONSTANTS[lower]
    if lower.lstrip("+-") in _NOT_FINITE:
        return float(lower)
    return Word(mark)


def is_number(value: Any) -> bool:
    """Whether a value that was read is a number, finite or not."""
    return isinstance(value, float)

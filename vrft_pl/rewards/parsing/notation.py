"""Reading values in JSON or Python notation as models write them: linear in the text, without recursion."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, NamedTuple

from vrft_pl.rewards.parsing.unread import Unread

NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
"""A decimal number."""
SPACE = r" \t-\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""White space, inside a class: what both `re` and `float` take for it. `float` refuses the separators 1C to 1F."""
_NUMBERS = rf"[{SPACE}]*+({NUMBER.pattern}(?>(?:[{SPACE}]*+,[{SPACE}]*+{NUMBER.pattern})*))[{SPACE}]*+"
_TOKEN = re.compile(
    rf"""[{SPACE}]*+(?:\[{_NUMBERS}\]|\({_NUMBERS}\)"""  # 1, 2: a list of numbers, for speed
    r"""|([\[({])|([\])}])|([,;])|(:)"""  # 3 to 6: opening, closing, between, after a key
    r"""|("[^"\\]*+(?>(?:\\.[^"\\]*+)*)"|'[^'\\]*+(?>(?:(?:\\.|'(?=\w))[^'\\]*+)*)')"""  # 7: a string, with apostrophes
    rf"""|({NUMBER.pattern})(?![^{SPACE}\[\](){{}},;:"])"""  # 8: a number
    rf"""|([^{SPACE}\[\](){{}},;:"'][^{SPACE}\[\](){{}},;:"]*+)"""  # 9: a word
    r"""|(["']))""",  # 10: a string that is never closed
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_PAIRS = {"]": "[", ")": "(", "}": "{"}
_CONSTANTS: dict[str, float | bool | None] = {"true": True, "false": False, "null": None, "none": None}
_CONSTANTS |= {
    f"{sign}{name}": float(f"{sign}{name}") for name in ("nan", "inf", "infinity") for sign in ("", "+", "-")
}
_MAX_DEPTH = 16
_MAX_BRACKETS = 4096
_MISSING: Any = object()
_FLAT = r"""(?>(?:[^][{}"']++|"[^][{}"]*+"|'[^][{}']*+')*)"""
_ENTRY = rf"(?:\[{_FLAT}\]|\{{{_FLAT}(?>(?:\[{_FLAT}\]{_FLAT})*)\}})"
_SHALLOW = re.compile(rf"\[{_FLAT}(?>(?:{_ENTRY}{_FLAT})*)\]")
_JSON = json.JSONDecoder(parse_int=float, parse_constant=float)


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

    __slots__ = ("bracket", "items", "keys", "words")

    def __init__(self, bracket: str) -> None:
        self.bracket = bracket
        self.items: list[Any] = []
        self.keys: list[str] = []
        self.words: list[str] = []

    def add(self, value: Any) -> None:
        """Append a value, or give it to the key that waits for one."""
        if self.words:
            self.end_words()
        items = self.items
        if items and items[-1] is _MISSING:
            items[-1] = value
        else:
            items.append(value)

    def end_words(self) -> None:
        """Make one value of the words that follow each other."""
        if self.words:
            value, self.words = Word(" ".join(self.words)), []
            self.add(value)

    def key(self) -> bool:
        """Turn the last value into the key of the next one; false where that makes no sense."""
        if self.words:
            self.end_words()
        if self.bracket != "{":
            return True  # `Answer: [1, 2]` is a word and a list
        items = self.items
        if len(items) != len(self.keys) + 1 or not isinstance(items[-1], str):
            return False
        self.keys.append(items[-1])
        items[-1] = _MISSING
        return True

    def value(self) -> Any:
        """The list or dictionary; a dictionary in which a key or a value is missing is ``_MISSING``."""
        if self.words:
            self.end_words()
        items = self.items
        if self.bracket != "{":
            return items
        # only the last key can still wait for its value
        whole = len(self.keys) == len(items) and not (items and items[-1] is _MISSING)
        return dict(zip(self.keys, items, strict=True)) if whole else _MISSING


def read_values(text: str) -> Values | Unread:
    """Read the values of a text: what JSON and Python write, mixed, with trailing commas and bare words.

    A text that stops inside brackets keeps the complete values before them, or, where there are none, the complete
    lists and dictionaries of the outermost list.

    Args:
        text: At most some ten thousand characters; the caller limits it.

    Returns:
        The values, or why there are none: brackets that don't match, keys without values, or too many brackets.

    Example:
        >>> read_values("[{'Position': [1, 2, 3.5, 4], Label: red car,}, {'Position': [1")
        Values(items=[[{'Position': [1.0, 2.0, 3.5, 4.0], 'Label': 'red car'}]], complete=False)
    """
    entries = read_json(text)
    return read_tokens(text) if entries is None else Values([entries], complete=True)


def read_tokens(text: str) -> Values | Unread:
    """Read the values of a text mark by mark; see `read_values`."""
    top = root = _Open("")
    stack, complete, brackets = [root], True, 0
    for token in _TOKEN.finditer(text.rstrip()):  # blanks at the end would be scanned from each of them
        kind = token.lastindex
        assert kind is not None
        if kind == 5:
            if top.words:
                top.end_words()
            continue
        mark = token[kind]
        if kind == 7:
            top.add(_unquoted(mark))
        elif kind == 6:
            if not top.key():
                return Unread.MALFORMED
        elif kind < 3:
            top.add(list(map(float, mark.split(","))))
        elif kind == 8:
            top.add(float(mark))
        elif kind == 9:
            lower = mark.lower()
            if lower in _CONSTANTS:
                top.add(_CONSTANTS[lower])
            else:
                top.words.append(mark)
        elif kind == 3:
            brackets += 1
            if len(stack) > _MAX_DEPTH or brackets > _MAX_BRACKETS:
                return Unread.TOO_LONG
            top = _Open(mark)
            stack.append(top)
        elif kind == 4:
            value = top.value()
            if top.bracket != _PAIRS[mark] or value is _MISSING:
                return Unread.MALFORMED
            stack.pop()
            top = stack[-1]
            top.add(value)
        else:
            complete = False
            break
    root.end_words()
    if len(stack) > 1:
        complete = False
        outermost = stack[1]
        while outermost.items and not isinstance(outermost.items[-1], list | dict):
            outermost.items.pop()
        if outermost.bracket != "{" and outermost.items and not root.items:
            root.items.append(outermost.items)
    return Values(root.items, complete) if complete or root.items else Unread.TRUNCATED


def read_json(text: str) -> list[Any] | None:
    """Read a list of shallow entries, in JSON or with Python's quotes, ten times faster; ``None`` for the rest."""
    text = text.strip()
    if "\\" in text or _SHALLOW.fullmatch(text) is None:
        return None
    try:
        return _JSON.decode(text if '"' in text else text.replace("'", '"'))
    except ValueError:
        return None


def _unquoted(mark: str) -> str:
    if "\\" not in mark:
        return mark[1:-1]
    text = _ESCAPE.sub(_character, mark[1:-1])
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON writes an emoji as two halves


def _character(escape: re.Match[str]) -> str:
    name = escape[1]
    if len(name) == 1:
        return _CONTROLS.get(name, name)
    code = int(name[1:], 16)
    return chr(code) if code <= sys.maxunicode else ""


def is_number(value: Any) -> bool:
    """Whether a value that was read is a number, finite or not."""
    return isinstance(value, float)

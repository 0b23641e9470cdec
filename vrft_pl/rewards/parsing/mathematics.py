"""What of an answer a parser of mathematics may see."""

from __future__ import annotations

import re
from typing import NamedTuple

from vrft_pl.rewards.parsing.number import UNITS
from vrft_pl.rewards.parsing.unread import Unread

MAX_EXPRESSION = 200
"""Characters of an expression that is still compared."""
_MAX_DEPTH = 12
_TOKEN = re.compile(r"\\[a-zA-Z]++|\\.|\d++(?:\.\d*+)?|\.\d++|[a-zA-Z]++|\s++|.", re.DOTALL)
_NAMES = (
    "frac dfrac tfrac sqrt pi theta alpha beta gamma phi cdot times div pm mp circ degree left right angle triangle "
    "infty sin cos tan cot sec csc arcsin arccos arctan log ln exp le leq ge geq lt gt neq approx cup cap in text "
    "mathrm mathbf operatorname overline quad binom vec hat bar displaystyle"
)
_COMMANDS = frozenset(_NAMES.split())
_WORDS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "pi", "abs"}
_FACTORS = set("abcxyz")
_ESCAPES = {"\\,", "\\;", "\\:", "\\!", "\\ ", "\\%", "\\{", "\\}", "\\\\", "\\$", "\\|"}
_MARKS = set("+-*/^=<>()[]{}|,.:;!%_'°²³π√×÷·≤≥±∞−")
_OPENING, _CLOSING = "([{", ")]}"
_UNIT = re.compile(r"(?:\\(?:text|mathrm|mbox)\s*+\{([^{}]*+)\}|(?<=[\s\d}])([a-zA-Z%][a-zA-Z.%^{}\d²³ ]*+|°))$")


def split_unit(text: str) -> tuple[str, str | None]:
    r"""Take a known unit off the end of an expression.

    Example:
        >>> split_unit(r"6\sqrt{3} \text{ cm}^2"), split_unit("3x")
        (('6\\sqrt{3}', 'cm^2'), ('3x', None))
    """
    text = text.strip().removesuffix(".")
    power = ""
    for suffix, kind in {"}^2": "^2", "}^{2}": "^2", "}^3": "^3", "}^{3}": "^3"}.items():
        if text.endswith(suffix) and re.search(r"\\(?:text|mathrm|mbox)\s*+\{[^{}]*+$", text[: -len(suffix)]):
            text, power = text[: -len(suffix)] + "}", kind
    found = _UNIT.search(text)
    if found is None:
        return text, None
    spelling = "".join((found[1] or found[2] or found[0]).split()) + power
    unit = UNITS.get(spelling) or UNITS.get(spelling.lower())
    if unit is None or unit == "%":
        return text, None
    return text[: found.start()].strip(), unit


class Parts(NamedTuple):
    """The parts of a point, an interval or a set."""

    items: tuple[str, ...]
    """Two to eight."""
    kind: str
    """``(`` for a point or an interval, whose order matters; ``{`` for a set; nothing where there are no brackets."""


def split_parts(text: str) -> Parts | None:
    r"""Split ``(1, 2)``, ``\{1, 2\}`` and ``1, 2`` at their commas; ``None`` for anything else.

    Example:
        >>> split_parts(r"\left(\frac{1}{2}, (3)\right)"), split_parts("f(1, 2)")
        (Parts(items=('\\frac{1}{2}', '(3)'), kind='('), None)
    """
    text = "".join(text.split()).replace("\\left", "").replace("\\right", "")
    kind = ""
    if text.startswith("(") and text.endswith(")"):
        text, kind = text[1:-1], "("
    elif text.startswith("\\{") and text.endswith("\\}"):
        text, kind = text[2:-2], "{"
    items, depth = [""], 0
    for mark in text:
        depth += (mark in _OPENING) - (mark in _CLOSING)
        if depth < 0:
            return None
        if mark == "," and depth == 0:
            items.append("")
        else:
            items[-1] += mark
    return Parts(tuple(items), kind) if 2 <= len(items) <= 8 and all(items) and depth == 0 else None


def unsafe(text: str) -> Unread | None:
    """Say why a text is no expression that a parser should see: prose, or mathematics that explodes.

    Allowed are numbers of at most 15 digits, single letters, the usual commands and functions, at most 12 levels of
    brackets, powers up to 256 in all, and factorials up to 20.
    """
    if len(text) > MAX_EXPRESSION:
        return Unread.TOO_LONG
    degrees = [1.0]  # the greatest power in each open bracket
    base, exponent = 1.0, 0  # power of what stands before `^`; level of the exponent that is open, 0 for none
    tokens = [token for token in _TOKEN.findall(text) if not token.isspace()]
    for i, token in enumerate(tokens):
        previous = tokens[i - 1] if i else ""
        if not (_is_number(token) or _is_known(token)):
            return Unread.MALFORMED
        if _is_number(token):
            if previous == "^" or exponent:
                degrees[-1] = max(degrees[-1], base * float(token))
            if len(token) > 15 or degrees[-1] > 256:
                return Unread.TOO_LONG
        elif token in _OPENING:
            if previous == "^" and not exponent:
                exponent = len(degrees)
            degrees.append(1.0)
        elif token in _CLOSING and len(degrees) > 1:
            inner = degrees.pop()
            if exponent == len(degrees):
                exponent = 0
            degrees[-1] = max(degrees[-1], inner)
            base = inner
        elif token == "^":
            if exponent or (i > 1 and tokens[i - 2] == "^"):
                return Unread.TOO_LONG
            base = base if previous in _CLOSING and previous else 1.0
        elif token == "!" and not (previous.isdigit() and float(previous) <= 20):
            return Unread.TOO_LONG
        if len(degrees) > _MAX_DEPTH:
            return Unread.TOO_LONG
    return None if tokens else Unread.EMPTY


def _is_number(token: str) -> bool:
    return token[0].isascii() and (token[0].isdigit() or (token[0] == "." and len(token) > 1))


def _is_known(token: str) -> bool:
    """Whether a token that is no number may be part of mathematics."""
    if token[0] == "\\":
        return token[1:] in _COMMANDS or token in _ESCAPES
    if token.isascii() and token.isalpha():
        product = len(token) == 1 or (len(token) < 4 and set(token) <= _FACTORS)
        return product or token in _WORDS or token.isupper() or token.lower() in UNITS
    return token in _MARKS

"""What of an answer a parser of mathematics may see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from vrft_pl.rewards.parsing.number import MATH_UNITS
from vrft_pl.rewards.parsing.unread import Unread

MAX_EXPRESSION = 200
"""Characters of an expression that is still compared."""
_MAX_DEPTH = 12
_TOKEN = re.compile(r"\\[a-zA-Z]++|\\.|[0-9]++(?:\.[0-9]*+)?|\.[0-9]++|[a-zA-Z]++|\s++|.", re.DOTALL)
_NAMES = (
    "frac dfrac tfrac sqrt pi theta alpha beta gamma phi cdot times div pm mp circ degree left right angle triangle "
    "infty sin cos tan cot sec csc arcsin arccos arctan log ln exp le leq ge geq lt gt neq cup cap in overline quad "
    "binom vec hat bar displaystyle"
)
_COMMANDS = frozenset(_NAMES.split())
_WORDS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "abs"}
_FACTORS = set("abcxyz")
_ESCAPES = {"\\,", "\\;", "\\:", "\\!", "\\ ", "\\{", "\\}"}
_MARKS = set("+-*/^=<>()[]{}|,:!_'")
_OPERATORS = set("+-*/^=<>,:_") | {
    f"\\{name}" for name in ("cdot", "times", "div", "pm", "in", "cup", "cap", "le", "ge", "leq", "geq", "neq")
}
_INFIX = (_OPERATORS - {"+", "-", "\\pm"}) | {"!", "'"}
"""What stands behind something; without it, the parser drops the sign."""
_ACCENTS = {"\\hat", "\\bar", "\\vec", "\\overline"}
_FUNCTIONS = {
    f"\\{name}"
    for name in ("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "log", "ln", "exp")
    + ("frac", "sqrt", "binom")
} | _WORDS
"""What needs something behind it; without it, the parser drops the name."""
_POWERS = {"{", "(", "\\circ", "\\degree", "\\pi", "\\theta", "\\infty"}
"""What a power may begin with, beside a number and a letter: of anything else the parser drops a part."""
_OPENING, _CLOSING = "([{", ")]}"
_NEEDY = _OPERATORS | _FUNCTIONS | {"\\{", *_OPENING}
"""What needs something behind it."""
_ENDS = {"", "\\}", *_CLOSING}
_NAMED = {"\\angle", "\\triangle", "{", "=", "m", "\\overline", "("}
"""What a name of several capitals may follow."""
_SYMBOLS = {
    "²": "^2", "³": "^3", "·": "\\cdot ", "⋅": "\\cdot ", "×": "\\times ", "÷": "\\div ", "π": "\\pi ",
    "∞": "\\infty ", "−": "-", "–": "-", "≤": "\\leq ", "≥": "\\geq ", "±": "\\pm ", "°": "^\\circ ",
    "∠": "\\angle ", "△": "\\triangle ", "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}",
    "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "*": "\\cdot ", "\\dfrac": "\\frac", "\\tfrac": "\\frac",
    "\\cfrac": "\\frac", "\\lt": "<", "\\gt": ">", ">=": "\\geq ", "<=": "\\leq ", "!=": "\\neq ", "\\ne": "\\neq ",
    "≠": "\\neq ", "\\left": "", "\\right": "", "\\!": "", "\\,": " ", "\\;": " ", "\\:": " ", "\\ ": " ",
    "\\quad": " ", "\\qquad": " ", "\\cdotp": "\\cdot ", "{,}": ",", "**": "^", "\\lvert": "|", "\\rvert": "|",
    "\\vert": "|",
}  # fmt: skip
_SYMBOL = re.compile(
    "|".join(re.escape(mark) + "(?![a-zA-Z])" * mark[-1].isalpha() for mark in sorted(_SYMBOLS, key=len, reverse=True))
)
_ROOT = re.compile(r"(?:√|(?<![\\a-zA-Z])sqrt)\s*+(?:\(([^()]*+)\)|\{([^{}]*+)\}|(\d++(?:\.\d++)?|[a-z]))")
_TIE = re.compile(r"(?<=[\w)\]},]) ?~++")
"""A tilde that is a blank of LaTeX; elsewhere it means `about`."""
_BASE = re.compile(r"\\log_([0-9]++)")
_REPEATING = re.compile(
    r"((?:^|[-+=,(\[{*/|]|\\(?:cdot|times|div|leq?|geq?)(?![a-zA-Z]))\s*+)([0-9]{0,9})\.([0-9]{0,6})\\(?:overline|bar|dot)\s*+\{([0-9]{1,6})\}(?!\s*+[0-9.])"
)
_HALF_OF = re.compile(r"(?<![\w.^_/])(?<![0-9]\s)([0-9]++)\s?+/\s?+([0-9]++)\s++(?=[a-zA-Z(\\√])")
_PART = r"\s*+(?:\{[^{}]*+\}|[0-9])"
_POWER = re.compile(
    rf"\^\s*+([-+]\s*+(?:[0-9]++(?:\.[0-9]++)?|[a-zA-Z](?![a-zA-Z])|\\pi(?![a-zA-Z]))|\\frac{_PART}{_PART}|\\sqrt{_PART})"
)
_PI = re.compile(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])")
_TEXT = re.compile(r"\\(?:text|textbf|textnormal|mathrm|mbox)\s*+\{([^{}]*+)\}\s*+((?:\^(?:\d|\{\d\}))?)$")
_UNIT = re.compile(r"(\s*+)((?:\^\\circ|[a-zA-Z][a-zA-Z./]*+(?:\s++[a-zA-Z]++)?(?:\^(?:\d|\{\d\}))?)\s*+)$")


def translate(text: str) -> str:
    r"""Write symbols as the commands of LaTeX, which is all that the parser of mathematics knows.

    Repeating decimals become fractions, ``1/2 x`` the half of x, and powers get the braces without which the parser
    would drop their sign.

    Example:
        >>> translate("6√3"), translate("2*pi"), translate("x² ≤ ½")
        ('6\\sqrt{3}', '2\\cdot \\pi ', 'x^2 \\leq  \\frac{1}{2}')
        >>> translate(r"0.1\overline{6}"), translate("1/2 x"), translate("2**-3")
        ('\\frac{15}{90}', '\\frac{1}{2} x', '2^{-3}')
    """
    text = _BASE.sub(r"\\log_{\1}", _TIE.sub(" ", text))
    text = _HALF_OF.sub(r"\\frac{\1}{\2} ", _REPEATING.sub(_fraction, text))
    text = _ROOT.sub(lambda root: f"\\sqrt{{{root[1] or root[2] or root[3] or ''}}}", text)
    text = _SYMBOL.sub(lambda symbol: _SYMBOLS[symbol[0]], _PI.sub(r"\\pi ", text))
    return _POWER.sub(r"^{\1}", text)


def _fraction(repeating: re.Match[str]) -> str:
    before, whole, fixed, again = repeating.groups()
    tens = 10 ** len(fixed)
    top = int(whole + fixed + again) - int(whole + fixed or 0)
    return f"{before}\\frac{{{top}}}{{{(10 ** len(again) - 1) * tens}}}"


def split_unit(text: str) -> tuple[str, str | None]:
    r"""Take a known unit off the end of an expression without variables.

    Example:
        >>> split_unit(r"6\sqrt{3} \text{ cm}^2"), split_unit("3x"), split_unit("2x m")
        (('6\\sqrt{3}', 'cm^2'), ('3x', None), ('2x m', None))
    """
    text = text.strip().removesuffix(".")
    if found := _TEXT.search(text):
        spelling = found[1] + found[2]
    elif found := _UNIT.search(text):
        spelling = found[2]
    else:
        return text, None
    rest, spelling = text[: found.start()].strip(), "".join(spelling.split())
    unit = MATH_UNITS.get(spelling.lower())
    if unit is None or unit == "%" or not rest or re.search(r"(?<![\\a-zA-Z])[a-zA-Z]", rest):
        return text, None
    return rest, unit


def without_brackets(text: str) -> str:
    """Take brackets off that hold a whole expression: they mean nothing, and are slow to parse.

    Example:
        >>> without_brackets("[(50)]"), without_brackets("(1)(2)"), without_brackets("(1,2)")
        ('50', '(1)(2)', '(1,2)')
    """
    while text[:1] + text[-1:] in ("()", "{}", "[]"):
        depth, closed, point = 0, False, False
        for i, mark in enumerate(text):
            depth += (mark in _OPENING) - (mark in _CLOSING)
            closed |= depth == 0 and i < len(text) - 1
            point |= depth == 1 and mark == ","
        if closed or point or depth:
            break
        text = text[1:-1].strip()
    return text


class Parts(NamedTuple):
    """The parts of a point, an interval or a set."""

    items: tuple[str, ...]
    """Two or more."""
    kind: str
    """``(`` or ``[`` for a point or an interval, whose order matters; ``{`` for a set; nothing without brackets."""


def split_parts(text: str) -> Parts | None:
    r"""Split ``(1, 2)``, ``[1, 2]``, ``\{1, 2\}`` and ``1, 2`` at their commas; ``None`` for anything else.

    Example:
        >>> split_parts(r"\left(\frac{1}{2}, (3)\right)"), split_parts("f(1, 2)")
        (Parts(items=('\\frac{1}{2}', '(3)'), kind='('), None)
        >>> split_parts("(1,2),(3,4)")
        Parts(items=('(1,2)', '(3,4)'), kind='')
    """
    text = "".join(text.split()).replace("\\left", "").replace("\\right", "")
    inside, kind = text, ""
    if text[:1] + text[-1:] in ("()", "[]"):
        inside, kind = text[1:-1], text[0]
    elif text.startswith("\\{") and text.endswith("\\}"):
        inside, kind = text[2:-2], "{"
    elif text[:1] + text[-1:] == "{}" and split_commas(text[1:-1]) is not None:
        inside, kind = text[1:-1], "{"
    items = split_commas(inside)
    if items is None and kind in ("(", "["):  # these two brackets are no pair
        items, kind = split_commas(text), ""
    return Parts(items, kind) if items is not None and len(items) > 1 and all(items) else None


def split_commas(text: str) -> tuple[str, ...] | None:
    """Split at the commas outside brackets; ``None`` if brackets do not match."""
    items, depth = [""], 0
    for mark in text:
        depth += (mark in _OPENING) - (mark in _CLOSING)
        if depth < 0:
            return None
        if mark == "," and depth == 0:
            items.append("")
        else:
            items[-1] += mark
    return tuple(items) if depth == 0 else None


def unsafe(text: str) -> Unread | None:
    """Say why a text is no expression that a parser should see: prose, or mathematics that explodes.

    The parser drops what it does not understand, so only what it does is let through: numbers of at most 15 digits
    before the point, single letters, names such as ABC after an angle or triangle, the usual commands and functions,
    closed brackets in at most 12 levels, one equation for something that is no number, powers up to 256 in all, and
    factorials up to 20.
    """
    if len(text) > MAX_EXPRESSION:
        return Unread.TOO_LONG
    tokens = [token for token in _TOKEN.findall(text) if not token.isspace()]
    if not tokens:
        return Unread.EMPTY
    for i, token in enumerate(tokens):
        if not (_is_number(token) or _is_known(token, tokens[i - 1] if i else "", tokens[i + 1 : i + 2])):
            return Unread.MALFORMED
    if tokens.count("|") % 2:
        return Unread.MALFORMED
    tokens = list(_with_bars_as_brackets(tokens))
    return _untidy(tokens) or _explosive(tokens)


def _with_bars_as_brackets(tokens: list[str]) -> Iterator[str]:
    opens = False
    for token in tokens:
        opens ^= token == "|"
        yield ("[" if opens else "]") if token == "|" else token


def _untidy(tokens: list[str]) -> Unread | None:
    """Whether the parser would drop a part: open brackets, ends without an operand, equations between numbers."""
    expected = []
    for token in tokens:
        if token in _OPENING:
            expected.append(_CLOSING[_OPENING.index(token)])
        elif token in _CLOSING and (not expected or (expected.pop() != token and token == "}")):
            return Unread.MALFORMED
    if expected:
        return Unread.MALFORMED
    if tokens.count("=") > 1 or any(map(_hangs, ["", *tokens], [*tokens, ""])):
        return Unread.MALFORMED
    if "=" in tokens and not any(t[-1].isalpha() for t in tokens[: tokens.index("=")]):
        return Unread.MALFORMED
    for left, right in zip(tokens, tokens[1:], strict=False):
        glued = left in ("\\circ", "\\degree") and (right[0].isalnum() or right[0] == "\\")
        of_sets = {"\\in", "\\cup", "\\cap"}
        between = (right in of_sets | {"_"} and _is_number(left)) or (left in of_sets and _is_number(right))
        prime = right == "'" and not (left.isalpha() or left == "'")
        if glued or between or prime or (_is_number(left) and _is_number(right)) or (left == "!" and right == "!"):
            return Unread.MALFORMED if right != "!" else Unread.TOO_LONG
    return None


def _hangs(left: str, right: str) -> bool:
    """Whether a sign, a function or a bracket lacks what it needs, or an accent or a power has something else."""
    if left in _ACCENTS:
        return not right or _is_number(right)
    if left == "^":
        return right not in _POWERS and not right.isalpha() and not (right and _is_number(right))
    if right in _ENDS:
        return left in _NEEDY
    return (
        right in _INFIX
        and (left in _NEEDY or left in ("", "\\displaystyle"))
        and not (left in _FUNCTIONS and right in "^_")
    )


def _explosive(tokens: list[str]) -> Unread | None:
    """Whether powers, factorials or brackets would cost more than the comparison is worth."""
    degrees = [1.0]  # the greatest power in each open bracket
    base, exponent = 1.0, 0  # power of what stands before `^`; level of the exponent that is open, 0 for none
    for i, token in enumerate(tokens):
        previous = tokens[i - 1] if i else ""
        if _is_number(token):
            if previous == "^" or exponent:
                degrees[-1] = max(degrees[-1], base * float(token))
            if len(token) > 32 or len(token.partition(".")[0]) > 15 or degrees[-1] > 256:
                return Unread.TOO_LONG
        elif token in _OPENING:
            if previous == "^" and not exponent:
                exponent = len(degrees)
            degrees.append(1.0)
        elif token in _CLOSING and len(degrees) > 1:
            closed = degrees.pop()
            if exponent == len(degrees):
                exponent = 0
            base = base if exponent else closed
            degrees[-1] = max(degrees[-1], closed)
        elif token == "^":
            if exponent or (i > 1 and tokens[i - 2] == "^"):
                return Unread.TOO_LONG
            base = base if previous and previous in _CLOSING else 1.0
        elif token == "!" and (exponent or "\\binom" in tokens or not (previous.isdigit() and float(previous) <= 20)):
            return Unread.TOO_LONG
        if len(degrees) > _MAX_DEPTH:
            return Unread.TOO_LONG
    return None


def _is_number(token: str) -> bool:
    return token[0].isascii() and (token[0].isdigit() or (token[0] == "." and len(token) > 1))


def _is_known(token: str, previous: str, following: list[str]) -> bool:
    """Whether a token that is no number may be part of mathematics."""
    if token[0] == "\\":
        return token[1:] in _COMMANDS or token in _ESCAPES
    if token.isascii() and token.isalpha():
        if len(token) > 1 and token.isupper():
            return len(token) < 5 and (previous in _NAMED or (not previous and following in ([], ["="])))
        return len(token) == 1 or (len(token) < 4 and set(token) <= _FACTORS) or token in _WORDS
    return token in _MARKS

"""Reading the steps of a transformation."""

from __future__ import annotations

import re
from functools import lru_cache

from vrft_pl.answers import Call
from vrft_pl.rewards.parsing.blocks import MAX_ANSWER, unwrap
from vrft_pl.rewards.parsing.notation import NUMBER
from vrft_pl.rewards.parsing.unread import Unread
from vrft_pl.rewards.parsing.width import narrow

_SHORT = 64
"""Characters of an argument whose form is remembered: hostile ones must not fill memory."""
_CALL = re.compile(r"(?<!\w)([A-Za-z_]\w*+)\s*+\(([^()]*+(?>(?:\([^()]*+\)[^()]*+)*))\)", re.ASCII)
_BETWEEN_CALLS = re.compile(
    r"""(?>(?:[\s,;()\[\]"'`*]++|->|[.-](?=\s)|(?:(?:first|second|third|last)(?:ly)?|next|then|finally)[,:]|(?:and|then)\b(?!\()|step\s*+\d++\s*+[:.)]|\d++[.)](?!\d))*)""",
    re.ASCII | re.IGNORECASE,
)
_CUT_CALL = re.compile(
    r"(?!(?:no|not|never|wrong)\b)[A-Za-z_]\w*+\s*+(?:\([^()]*+(?>(?:\([^()]*+\)?[^()]*+)*))?", re.ASCII
)
_ARGUMENT_NAME = re.compile(r"\s*+[A-Za-z_]\w*+\s*+=(?!=)", re.ASCII)
_MARKS = str.maketrans({"[": "(", "]": ")", "\u2212": "-"})


def parse_calls(answer: str) -> tuple[Call, ...] | Unread:
    """Read calls ``function(object, value)`` with nothing but separators, ``and``, ``then`` and numbers between them.

    ``First,`` and the like may stand before a call too. Of an answer that is cut, the complete calls count. A call
    without a value has the empty one.

    Example:
        >>> for call in parse_calls("['change_color(2, Red)', 'change_position(obj_1, (0, -1))', 'change_s"):
        ...     print(call.function, call.object, call.value)
        change_color 2 red
        change_position obj_1 (0,-1)
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    answer = unwrap(narrow(answer).replace("\\_", "_")).removesuffix(".")
    if not answer:
        return Unread.EMPTY
    calls, position = [], 0
    while True:
        between = _BETWEEN_CALLS.match(answer, position)
        assert between is not None
        position = between.end()
        call = _CALL.match(answer, position)
        if call is None:
            break
        first, _, rest = call[2].partition(",")
        calls.append(Call(call[1].lower(), normalize_argument(first), normalize_argument(rest)))
        position = call.end()
    if position < len(answer) and _CUT_CALL.fullmatch(answer, position) is None:
        return Unread.MALFORMED
    return tuple(calls) or (Unread.TRUNCATED if position < len(answer) else Unread.MALFORMED)


def normalize_argument(text: str) -> str:
    """Bring an argument of a call into one form: case, blanks, quotes and its own name (``value=red``) don't matter.

    Nor do the kind of bracket, and ``.0`` at a whole number, alone or in a list.

    Example:
        >>> normalize_argument(' object = "Obj_1" '), normalize_argument("2.0"), normalize_argument("[0, -1.0]")
        ('obj_1', '2', '(0,-1)')
    """
    return _normalized(text) if len(text) <= _SHORT else _normalized.__wrapped__(text)


@lru_cache(maxsize=4096)
def _normalized(text: str) -> str:
    text = narrow(text)
    if name := _ARGUMENT_NAME.match(text):
        text = text[name.end() :]
    text = "".join(mark for mark in text if not mark.isspace() and mark not in "\"'`").casefold()
    return "".join(map(_whole, re.split(r"([(),])", text.translate(_MARKS))))


def _whole(text: str) -> str:
    if NUMBER.fullmatch(text) and float(text).is_integer() and abs(float(text)) < 1e9:
        return str(int(float(text)))
    return text

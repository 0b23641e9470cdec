"""The few sentences that are read as the answer inside them, where a reward is told to be lenient."""

from __future__ import annotations

import re
from typing import Literal

from vrft_pl.rewards.parsing.notation import NUMBER

Prose = Literal["strict", "lenient"]
"""Whether an answer may be put into a short sentence."""

_THING = r"[a-z]++(?:[ -][a-z]++){0,5}"
_LEAD = re.compile(
    r"(?>(?:(?:so|thus|hence|therefore),?\s++)?)(?>(?:(?:the|my)\s++)?)(?>(?:(?:final|correct|right|best)\s++)?)"
    rf"(?:answer|result|total|count|option|choice|letter|number(?:\sof\s{_THING}(?=\s(?:is|are)\b|\s?[:=]))?)"
    r"\s*+(?:(?:is|are):?|[:=])(?=[\s(\[$\\*\d])\s*+",
    re.IGNORECASE | re.ASCII,
)
_THERE = re.compile(
    r"(?:there\s(?:is|are)|(?:it|this|that)(?:\sis|'s)|i\s(?:see|count|choose))\s++", re.IGNORECASE | re.ASCII
)
_VARIABLE = re.compile(r"[a-z]\s*+=\s*+(?!=)", re.IGNORECASE | re.ASCII)
_LETTER = r"(?>(?:(?:option|choice|answer)\s)?)(\([A-Z]\)|\*\*[A-Z]\*\*|[A-Z])"
_CALLED_RIGHT = re.compile(
    rf"{_LETTER}\sis\s(?:the\s)?(?:correct|right|best)(?:\s(?:answer|option|choice|one))?", re.IGNORECASE | re.ASCII
)
_REASON = re.compile(rf"{_LETTER},?\s(?:because|since)\s(.++)", re.IGNORECASE | re.ASCII)
_COUNTED = re.compile(rf"({NUMBER.pattern}|[a-z]++)\s++({_THING})\s*+\.?", re.IGNORECASE | re.ASCII)
_NO_THING = re.compile(
    r"\b(?:or|and|not?|nor|than|more|less|fewer|plus|minus|times|if|but|wrong|hundreds?|thousands?|[mbt]illions?|dozens?|"
    r"squared|cubed|factorial|tens|pairs?|scores?|gross|(?:four|fif|six|seven|eigh|nin|ten|hundred|thousand)ths?|"
    r"missing|absent|half|halves|thirds?|quarters?|percent|is|are|was|points?|to|out|of|per|x)\b|(?:teen|ty)\b",
    re.IGNORECASE | re.ASCII,
)


def without_prose(answer: str, named: bool = True) -> str:
    """Take off ``The answer is``, ``Answer:``, ``There are`` or ``x =``; what follows is read strictly.

    Args:
        answer: Content of the answer.
        named: Whether ``x =`` may name the answer; where answers are letters, the name is another answer.

    Example:
        >>> without_prose("So the final answer is: 3."), without_prose("x = 3"), without_prose("The answer is not 3")
        ('3.', '3', 'not 3')
    """
    for lead in (_LEAD, _THERE, *([_VARIABLE] if named else [])):
        if found := lead.match(answer):
            answer = answer[found.end() :]
    return answer


def called_right(answer: str) -> str | None:
    """The letter of ``Option B is correct.``; ``None`` for anything else.

    Example:
        >>> called_right("Option B is correct."), called_right("B is correct, not A")
        ('B', None)
    """
    found = _CALLED_RIGHT.fullmatch(answer.removesuffix("."))
    return found[1] if found else None


def with_reason(answer: str) -> tuple[str, str] | None:
    """The letter and the reason of ``B because it is longer``, on one line; ``None`` for anything else.

    Example:
        >>> with_reason("B, because it is longer"), with_reason("A or B because both are")
        (('B', 'it is longer'), None)
    """
    found = _REASON.fullmatch(answer)
    return (found[1], found[2]) if found else None


def counted(answer: str) -> str | None:
    """The number of ``3 objects`` or ``three red cubes``; ``None`` for anything else.

    Example:
        >>> counted("3 red cubes."), counted("3 or more"), counted("3 cubes, 4 balls")
        ('3', None, None)
    """
    found = _COUNTED.fullmatch(answer)
    return found[1] if found and not _NO_THING.search(found[2]) else None

"""Reading a letter, a class name or mathematics."""

from __future__ import annotations

import re
import string
import unicodedata

from vrft_pl.rewards.parsing.blocks import MAX_ANSWER, unwrap
from vrft_pl.rewards.parsing.unread import Unread

MAX_LABEL = 256
"""Characters of a name that is still read."""
_CHOICE = re.compile(
    r"(?:(?:option|choice|answer)\b[\s:]*+)?([(\[]?)([A-Z])([)\]]?)(?:[.:)]?\s*+$|[.:)]?\s++|[.:)])", re.IGNORECASE
)
_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015\u2212]++")
_ARTICLE = re.compile(r"(?:an?|the)\s++(?=\S)")
_ENDS = string.whitespace + ".,;:!?\"'`*()[]{}<>\u2018\u2019\u201c\u201d"


def parse_choice(answer: str, options: tuple[str, ...] = ()) -> str | Unread:
    """Read the letter of an option: ``B``, ``(b)``, ``B.``, ``Option B``; with texts also ``B. 35 cm`` and ``35 cm``.

    Args:
        answer: Content of the answer.
        options: Texts of the options from A on; text beside the letter must be that of its own option.
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    answer = unwrap(answer)
    texts = [normalize_label(option) for option in options]
    same = [i for i, text in enumerate(texts) if text == normalize_label(answer)]
    mark = _CHOICE.match(answer)
    if len(same) == 1 and (mark is None or len(answer) > 1):
        return string.ascii_uppercase[same[0]]
    if mark is None or (mark[1] + mark[3]) not in ("", "()", "[]", ")"):
        return Unread.MALFORMED
    letter, text = mark[2].upper(), normalize_label(answer[mark.end() :])
    if text and (ord(letter) - ord("A") >= len(texts) or texts[ord(letter) - ord("A")] != text):
        return Unread.AMBIGUOUS
    return letter


def normalize_label(name: str) -> str:
    """Bring a class name into one form: case, width, blanks, underscores, hyphens, punctuation at the ends, an article.

    Example:
        >>> normalize_label("The  Hard-leaved_Pocket orchid.")
        'hard leaved pocket orchid'
    """
    name = unicodedata.normalize("NFKC", name).casefold().strip(_ENDS)
    return _SEPARATORS.sub(" ", _ARTICLE.sub("", name, count=1) if _ARTICLE.match(name) else name).strip(_ENDS)


def parse_label(answer: str) -> str | Unread:
    """Read a class name, in the form of `normalize_label`. Nothing is searched for: a list of names is another name."""
    if len(answer) > MAX_LABEL:
        return Unread.TOO_LONG
    return normalize_label(unwrap(answer)) or Unread.EMPTY


def parse_expression(answer: str) -> str | Unread:
    """Read mathematics: the answer without what models put around it."""
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    return unwrap(answer) or Unread.EMPTY

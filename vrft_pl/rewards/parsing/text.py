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
    r"(?:(?:option|choice|answer)\b[\s:]*+)?+(?:\(([A-Z])(\))|\[([A-Z])(\])|([A-Z])(?!\w)(\)?+))([.:]?)\s*+(.*)",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_OTHER_LETTER = re.compile(r"(?<!\w)(?:[A-Z](?!\w)|[a-z][.:)])|\n")
_AROUND_LETTERS = {"or", "and", "option", "choice", "answer"}
_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015\u2212]++")
_ARTICLE = re.compile(r"(?:a|the|an(?! (?!8|11|18)[0-9])) (?=\S)")
_ENDS = string.whitespace + ".,;:!?\"'`*()[]{}<>\u2018\u2019\u201c\u201d"


def parse_choice(answer: str, options: tuple[str, ...] = ()) -> str | Unread:
    """Read the letter of an option: ``B``, ``(b)``, ``B.``, ``Option B``, ``B. 35 cm``; with texts also ``35 cm``.

    Where the texts are known, text beside a letter must be that of its option. Where they are not, it must stand behind
    a full stop, colon or bracket, on one line, and hold no other letter of an option.

    Args:
        answer: Content of the answer.
        options: Texts of the options from A on.

    Example:
        >>> parse_choice("B. 35 cm"), parse_choice("35 cm", ("30 cm", "35 cm")), parse_choice("A or B")
        ('B', 'B', <Unread.AMBIGUOUS: 'ambiguous'>)
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    answer = unwrap(answer)
    if not answer:
        return Unread.EMPTY
    texts = dict(zip(string.ascii_uppercase, map(normalize_label, options), strict=False))
    mark = _CHOICE.fullmatch(answer)
    beside = normalize_label(mark[8]) if mark else normalize_label(answer)
    if mark and not beside:
        return (mark[1] or mark[3] or mark[5]).upper()
    same = [letter for letter, text in texts.items() if text and text == normalize_label(answer)]
    if len(same) == 1:
        return same[0]
    if mark is None:
        return Unread.AMBIGUOUS if same else Unread.MALFORMED
    letter = (mark[1] or mark[3] or mark[5]).upper()
    delimited = bool(mark[2] or mark[4] or mark[6] or mark[7])
    known = texts.get(letter) == beside if texts else delimited and not _names_another_letter(mark[8])
    return letter if known else Unread.AMBIGUOUS


def _names_another_letter(text: str) -> bool:
    words = text.lower().replace(",", " ").split()
    return _OTHER_LETTER.search(text) is not None or all(
        len(w) == 1 and w.isalpha() or w in _AROUND_LETTERS for w in words
    )


def normalize_label(name: str) -> str:
    """Bring a class name into one form: case, width, blanks, underscores, hyphens, punctuation at the ends, an article.

    ``an`` before a number is an article only where it is spoken so: ``An-12`` is an aircraft.

    Example:
        >>> normalize_label("The  Hard-leaved_Pocket orchid.")
        'hard leaved pocket orchid'
    """
    name = unicodedata.normalize("NFKC", name).casefold().strip(_ENDS)
    name = _SEPARATORS.sub(" ", name).strip(_ENDS)
    article = _ARTICLE.match(name)
    return name[article.end() :].strip(_ENDS) if article else name


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

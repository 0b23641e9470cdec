"""Reading a letter, a class name or mathematics."""

from __future__ import annotations

import re
import string

from vrft_pl.names import normalize_name
from vrft_pl.rewards.parsing.blocks import MAX_ANSWER, unwrap
from vrft_pl.rewards.parsing.prose import called_right, with_reason
from vrft_pl.rewards.parsing.unread import Unread
from vrft_pl.rewards.parsing.width import narrow

MAX_LABEL = 256
"""Characters of a name that is still read."""
_CHOICE = re.compile(
    r"(?>(?:(?:option|choice|answer)\b[\s:]*+)?)(?:\(([A-Z])(\))|\[([A-Z])(\])|([A-Z])(?!\w)(\)?+))"
    r"([.:,]|\s++[-\u2013\u2014](?=\s)|)\s*+(.*)",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_WRAPPED_LETTER = re.compile(
    r"(?:\*\*|\\(?:boxed|text|textbf|mathrm|mathbf)\{)(\(?[A-Z]\)?[.:]?\s*+)(?:\*\*|\})", re.IGNORECASE | re.ASCII
)
_MATH_MARKS = re.compile(r"\$|\\[()]")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{([^{}]*+)\}")
_SOME_OPTIONS = re.compile(r"\b(?:none|neither|nor|all|both|either|any)\b", re.IGNORECASE | re.ASCII)
_OPTIONS = re.compile(
    r"\b(?:above|below|these|those|them|following|options?|choices?|answers?)\b", re.IGNORECASE | re.ASCII
)
_DENIAL = re.compile(
    r"\b(?:is|are|was)(?:n't|\s++(?:not|wrong|false|incorrect))\b|\bnot\s++(?:right|correct|the|it|sure)\b",
    re.IGNORECASE | re.ASCII,
)
_ARTICLE_A = r"A (?!(?:and|because|but|if|is|not|or|was)\b)[a-z]{2}"
_OTHER_LETTER = re.compile(rf"(?<!\w)(?!{_ARTICLE_A})(?:[A-Z](?!\w)|[a-z][.:)])|\n")
_AROUND_LETTERS = {"or", "and", "option", "choice", "answer"}


def parse_choice(answer: str, options: tuple[str, ...] = ()) -> str | Unread:
    """Read the letter of an option: ``B``, ``(b)``, ``B.``, ``Option B``, ``B. 35 cm``; with texts also ``35 cm``.

    Where the texts are known, text beside a letter must be that of its option: the same but for case, blanks and marks
    of LaTeX, or, where that tells the options apart, in the form of `normalize_name`. Where they are not, it must
    stand behind a full stop, colon, comma, dash or bracket, on one line, and neither hold another letter of an option,
    nor speak of options (``none of the above``), nor deny the letter.

    Args:
        answer: Content of the answer.
        options: Texts of the options from A on.

    Example:
        >>> parse_choice("B. 35 cm"), parse_choice("35 cm", ("30 cm", "35 cm")), parse_choice("A or B")
        ('B', 'B', <Unread.AMBIGUOUS: 'ambiguous'>)
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    answer = _without_marks(answer)
    if not answer:
        return Unread.EMPTY
    texts = dict(zip(string.ascii_uppercase, map(_without_marks, options), strict=False))
    mark = _CHOICE.fullmatch(answer)
    letter = (mark[1] or mark[3] or mark[5]).upper() if mark else ""
    named = _letters_of(mark[8], texts) if mark else []
    if mark and not named and not normalize_name(mark[8]):
        return letter
    same = _letters_of(answer, texts)
    if len(same) == 1:
        return same[0]
    if mark is None:
        return Unread.AMBIGUOUS if same else Unread.MALFORMED
    delimited = bool(mark[2] or mark[4] or mark[6] or mark[7])
    if texts:
        return letter if letter in named else Unread.AMBIGUOUS
    doubtful = not delimited or _names_another_letter(mark[8]) or _speaks_of_options(mark[8])
    return Unread.AMBIGUOUS if doubtful else letter


def parse_sentence_of_choice(answer: str, options: tuple[str, ...] = ()) -> str | Unread:
    """Read what `parse_choice` reads, and ``Option B is correct`` and ``B because it is longer``.

    A reason counts for nothing, and neither names another letter or the text of another option, nor speaks of options.

    Example:
        >>> parse_sentence_of_choice("B because A is too short"), parse_sentence_of_choice("B because it is longer")
        (<Unread.AMBIGUOUS: 'ambiguous'>, 'B')
    """
    if called := called_right(answer):
        return parse_choice(called)
    reasoned = with_reason(answer)
    if reasoned is None:
        return parse_choice(answer, options)
    letter, reason = parse_choice(reasoned[0]), normalize_name(reasoned[1])
    others = [text for mark, text in zip(string.ascii_uppercase, options, strict=False) if mark != letter]
    if any(name and name in reason for name in map(normalize_name, others)):
        return Unread.AMBIGUOUS
    return parse_choice(f"{letter}. {reasoned[1]}") if isinstance(letter, str) else letter


def _without_marks(text: str) -> str:
    """Take the marks off that an answer and an option may be written with or without: bold, dollars, LaTeX brackets."""
    text = _TEXT.sub(r"\1", _WRAPPED_LETTER.sub(r"\1", _MATH_MARKS.sub(" ", unwrap(narrow(text)))))
    return unwrap(text)


def _letters_of(text: str, options: dict[str, str]) -> list[str]:
    """Letters of the options with this text; signs and brackets count where some options differ in nothing else."""
    exact = _exact(text)
    same = [letter for letter, option in options.items() if exact and _exact(option) == exact]
    labels = {letter: label for letter, option in options.items() if (label := normalize_name(option))}
    if same or len(set(labels.values())) < len(labels):
        return same
    if not exact[:1].isalnum():
        return []  # a sign, a point or a bracket means something
    return [letter for letter, label in labels.items() if label == normalize_name(text)]


def _exact(text: str) -> str:
    return "".join(text.casefold().replace("\u2212", "-").split()).removesuffix(".")


def _names_another_letter(text: str) -> bool:
    words = text.lower().replace(",", " ").split()
    return _OTHER_LETTER.search(text) is not None or all(
        len(w) == 1 and w.isalpha() or w in _AROUND_LETTERS for w in words
    )


def _speaks_of_options(text: str) -> bool:
    """Whether a text says ``none of the above`` and the like, or denies what it stands beside."""
    some = _SOME_OPTIONS.search(text)
    return _DENIAL.search(text) is not None or (some is not None and _OPTIONS.search(text, some.end()) is not None)


def parse_label(answer: str) -> str | Unread:
    """Read a class name, in the form of `normalize_name`. Nothing is searched for: a list of names is another name."""
    if len(answer) > MAX_LABEL:
        return Unread.TOO_LONG
    return normalize_name(unwrap(answer)) or Unread.EMPTY


def parse_expression(answer: str) -> str | Unread:
    """Read mathematics: the answer without what models put around it."""
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    return unwrap(narrow(answer)) or Unread.EMPTY

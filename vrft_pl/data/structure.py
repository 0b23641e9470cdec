"""Structure perception: the answer is the letter of an option or mathematics (GeoMath, Geometry3K, or scenes)."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from vrft_pl.answers import Choice, Expression, Number, Solution
from vrft_pl.data.base import VisionTask
from vrft_pl.data.boxes import is_number
from vrft_pl.data.sources import Record
from vrft_pl.data.written import plain_number, untagged
from vrft_pl.types import InputError, Sample

Choices = Literal["auto", "always", "never"]
LETTERS = "ABCDEFGH"
"""Letters that an option may have."""
MAX_EXPRESSION = 1000
"""Characters of an answer."""
_LETTER = re.compile(rf"\(([{LETTERS}])\)\.?|([{LETTERS}])[.)]?")
_OPTION = re.compile(rf"(?<!\S)(?:\(([{LETTERS}])\)|([{LETTERS}])[.):\u3001\uff0e\uff1a])")


class Structure(VisionTask):
    r"""Questions about a figure, whose answer is the letter of an option, a number or an expression.

    Samples get the tag ``choice`` or ``free``, by which `vrft_pl.metrics.Accuracy` reports them apart. A number with a
    unit is an expression: `vrft_pl.rewards.MathMatch` knows the units.

    Args:
        *args: Those of `VisionTask`.
        choices: Which answers that are a single capital letter from A to H are letters of an option: ``auto`` those of
            questions that have options, ``always`` all, ``never`` none. A letter that is none is an expression.
        **kwargs: Those of `VisionTask`.

    Raises:
        ValueError: If ``choices`` is none of these.

    Example:
        >>> from vrft_pl.data import Record, Structure
        >>> rows = [("How long is AB?\nA. 30 cm\nB. 35 cm", "(B)"), ("How long?", "6\\sqrt{3} cm"), ("How many?", "4")]
        >>> for problem, answer in rows:
        ...     print(Structure().solution(Record("row 1", (), problem, answer)))
        Choice(letter='B', options=('30 cm', '35 cm'))
        Expression(latex='6\\sqrt{3} cm')
        Number(value=4.0, unit=None)
    """

    def __init__(self, *args: Any, choices: Choices = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if choices not in get_args(Choices):
            raise ValueError(f"Expected `choices` to be one of {list(get_args(Choices))}, but got {choices!r}.")
        self.choices = choices

    def solution(self, record: Record) -> Solution:
        """Read the answer: text with or without ``<answer>`` tags, a number, or a typed solution."""
        answer = record.answer
        if isinstance(answer, Choice):
            return choice(answer.letter, answer.options or options_of(record), record.id)
        if is_number(answer) or (isinstance(answer, Number) and is_number(answer.value)):
            return answer if isinstance(answer, Number) else Number(float(answer))
        if isinstance(answer, Expression):
            answer = answer.latex
        text = untagged(answer) if isinstance(answer, str) else ""
        if not text:
            raise InputError(
                f"{record.id}: expected the answer to be a letter, a number or an expression, "
                f"but got {reprlib.repr(record.answer)}."
            )
        if len(text) > MAX_EXPRESSION:
            raise InputError(
                f"{record.id}: expected an answer of at most {MAX_EXPRESSION} characters, but got {len(text)}."
            )
        if letter := self._letter(text, record):
            return choice(letter, options_of(record), record.id)
        value = plain_number(text)
        return Expression(text) if value is None else Number(value)

    def unanswered(self, record: Record) -> Solution:
        """A letter where there are options, else an expression."""
        options = options_of(record)
        return choice(LETTERS[0], options, record.id) if options and self.choices != "never" else Expression("?")

    def sample(self, record: Record, split: str) -> Sample:
        """Turn a row into a checked Sample, tagged with the kind of its answer."""
        sample = super().sample(record, split)
        tag = "choice" if isinstance(sample.solution, Choice) else "free"
        return sample if tag in sample.tags else replace(sample, tags=(*sample.tags, tag))

    def _letter(self, text: str, record: Record) -> str | None:
        """Read the letter of an option, where the answer is one."""
        mark = _LETTER.fullmatch(text)
        if mark is None or self.choices == "never" or (self.choices == "auto" and not options_of(record)):
            return None
        return mark[1] or mark[2]


def choice(letter: str, options: Sequence[str], owner: str) -> Choice:
    """Check that a letter is that of an option.

    Raises:
        InputError: If there are options, but none with this letter.
    """
    if options and letter not in LETTERS[: len(options)]:
        raise InputError(
            f"{owner}: expected the answer to be the letter of one of the {len(options)} options, but got {letter!r}."
        )
    return Choice(letter, tuple(options) if all(options) else ())


def options_of(record: Record) -> tuple[str, ...]:
    """Texts of the options of a row: its own, or those that stand in its question; none where it has none."""
    return record.options or written_options(record.problem)


def written_options(problem: str) -> tuple[str, ...]:
    r"""Find the options that a question lists last: ``A. 30 cm B. 35 cm``, ``(A) 30 (B) 35``, ``A: 30``, a line each.

    Args:
        problem: The question. A single marked letter is no option; the text of the last one ends with its line.

    Returns:
        Their texts from A on, some of which may be empty.

    Example:
        >>> written_options("Through A. and B. runs a line. How long is it?\nA. 30 cm B. 35 cm\nAnswer with a letter.")
        ('30 cm', '35 cm')
    """
    marks = list(_OPTION.finditer(problem))
    letters = "".join(mark[1] or mark[2] for mark in marks)
    start = letters.rfind(LETTERS[:2])
    if start < 0:
        return ()
    count = 2
    while letters[start + count : start + count + 1] == LETTERS[count : count + 1] != "":
        count += 1
    listed = marks[start : start + count]
    ends = [*(mark.start() for mark in listed[1:]), len(problem)]
    texts = [problem[mark.end() : end].strip().rstrip(",;").rstrip() for mark, end in zip(listed, ends, strict=True)]
    return (*texts[:-1], texts[-1].partition("\n")[0].rstrip())

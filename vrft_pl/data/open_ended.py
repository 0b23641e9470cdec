"""Open-ended questions: the answer is free text."""

from __future__ import annotations

import reprlib
from typing import Any

from vrft_pl.answers import Solution, Text
from vrft_pl.data.base import VisionTask
from vrft_pl.data.sources import Record
from vrft_pl.styles import AnswerStyle, StyleName
from vrft_pl.types import InputError


class OpenEnded(VisionTask):
    """Questions that are asked as they stand and answered in free text: for a judge, or a reward of your own.

    Args:
        style: As in `VisionTask`; by default the whole completion is the answer.
        template: As in `VisionTask`; by default the question and nothing else.
        **kwargs: Those of `VisionTask`.

    Example:
        >>> from vrft_pl.data import Record
        >>> OpenEnded().solution(Record("row 1", (), "What is this?", "A king of hearts."))
        Text(value='A king of hearts.')
    """

    def __init__(
        self, style: AnswerStyle | StyleName = "answer", template: str | None = "{problem}", **kwargs: Any
    ) -> None:
        super().__init__(style=style, template=template, **kwargs)

    def solution(self, record: Record) -> Solution:
        """Read the answer: text, or a number."""
        answer = record.answer
        if isinstance(answer, Text):
            return answer
        if isinstance(answer, bool) or not isinstance(answer, str | int | float) or not str(answer).strip():
            raise InputError(f"{record.id}: expected the answer to be a text, but got {reprlib.repr(answer)}.")
        return Text(str(answer))

    def unanswered(self, record: Record) -> Solution:
        """A text."""
        return Text("")

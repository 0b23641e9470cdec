"""Counting: the answer is a number (Reason-RFT's CLEVR-Math and Super-CLEVR, or scenes)."""

from __future__ import annotations

import reprlib
from typing import Any

from vrft_pl.answers import Number, Solution
from vrft_pl.data.base import VisionTask
from vrft_pl.data.boxes import is_number
from vrft_pl.data.misplaced import refuse_other
from vrft_pl.data.sources import Record
from vrft_pl.data.written import plain_number, untagged
from vrft_pl.types import InputError


class Counting(VisionTask):
    """Questions whose answer is a number. Arguments are those of `VisionTask`.

    Example:
        >>> from vrft_pl.data import Counting, CountingScenes
        >>> task = Counting(val={"id": CountingScenes(size=2)})
        >>> task.setup("validate")
        >>> sample = task.val_dataloader()[0].dataset[0]
        >>> sample.problem, sample.solution
        ('How many red objects are there?', Number(value=3.0, unit=None))
    """

    def solution(self, record: Record) -> Solution:
        """Read the answer: a number, or a string that holds one, with or without ``<answer>`` tags."""
        refuse_other(record.answer, record.id, "Counting")
        answer: Any = record.answer
        if isinstance(answer, str):
            answer = plain_number(untagged(answer))
        if isinstance(answer, Number) and is_number(answer.value):
            return answer
        if not is_number(answer):
            raise InputError(f"{record.id}: expected the answer to be a number, but got {reprlib.repr(record.answer)}.")
        return Number(float(answer))

    def unanswered(self, record: Record) -> Solution:
        """A number."""
        return Number(0.0)

"""Counting: the answer is a number (Reason-RFT's CLEVR-Math and Super-CLEVR, or scenes)."""

from __future__ import annotations

import math

from vrft_pl.data.base import VisionTask
from vrft_pl.data.sources import Record
from vrft_pl.solutions import Number, Solution
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
        answer = record.answer
        if isinstance(answer, str):
            answer = answer.replace("<answer>", "").replace("</answer>", "").strip()
        try:
            value = math.nan if isinstance(answer, bool) else float(answer)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{record.id}: expected the answer to be a number, but got {record.answer!r}.")
        return Number(value)

"""Grounding: the answer is one box (RefCOCO style, LISA's reasoning, COCO categories that occur once, or scenes)."""

from __future__ import annotations

import reprlib
from typing import Any

from vrft_pl.answers import Box, Solution
from vrft_pl.data.base import VisionTask
from vrft_pl.data.boxes import AnnotationSpace, check_box, corners, written_box
from vrft_pl.data.sources import Record
from vrft_pl.types import InputError


class Grounding(VisionTask):
    """Questions whose answer is one box.

    Args:
        annotation_space: What coordinates in the rows mean. Sources that give a typed `Box` give pixels, whatever it
            says.
        **kwargs: Those of `VisionTask`.
    """

    def __init__(self, annotation_space: AnnotationSpace = "pixels", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.annotation_space = annotation_space

    def solution(self, record: Record) -> Solution:
        """Read the answer: a `Box`; or ``[x1, y1, x2, y2]`` or ``(x1,y1),(x2,y2)``, also as text."""
        answer = record.answer
        if len(record.images) != 1:
            raise InputError(f"{record.id}: expected one picture for a box, but got {len(record.images)}.")
        if isinstance(answer, Box):
            return Box(check_box(answer.xyxy, record.id, record.images[0]), answer.mask)
        box = written_box(answer) if isinstance(answer, str) else corners(answer)
        if box is None:
            raise InputError(
                f"{record.id}: expected the answer to be a box [x1, y1, x2, y2], but got {reprlib.repr(answer)}."
            )
        return Box(check_box(box, record.id, record.images[0], self.annotation_space))

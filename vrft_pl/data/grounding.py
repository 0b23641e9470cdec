"""Grounding: the answer is one box (RefCOCO style; COCO categories that occur once, or scenes)."""

from __future__ import annotations

import json
from typing import Any

from vrft_pl.data.base import VisionTask
from vrft_pl.data.boxes import AnnotationSpace, check_box
from vrft_pl.data.sources import Record
from vrft_pl.solutions import Box, Solution
from vrft_pl.types import InputError


class Grounding(VisionTask):
    """Questions whose answer is one box.

    Args:
        annotation_space: What coordinates in the rows mean.
        **kwargs: Those of `VisionTask`.
    """

    def __init__(self, annotation_space: AnnotationSpace = "pixels", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.annotation_space = annotation_space

    def solution(self, record: Record) -> Solution:
        """Read the answer: a `Box`, ``[x1, y1, x2, y2]``, or that as JSON with or without ``<answer>`` tags."""
        box, mask = record.answer, None
        if isinstance(box, Box):
            box, mask = box.xyxy, box.mask
        elif isinstance(box, str):
            try:
                box = json.loads(box.replace("<answer>", "").replace("</answer>", ""))
            except (ValueError, RecursionError):
                box = None
        if box is None:
            raise InputError(
                f"{record.id}: expected the answer to be a box [x1, y1, x2, y2], but got {record.answer!r}."
            )
        if len(record.images) != 1:
            raise InputError(f"{record.id}: expected one picture for a box, but got {len(record.images)}.")
        return Box(check_box(box, record.id, record.images[0], self.annotation_space), mask)

"""Grounding: the answer is one box (RefCOCO style, LISA's reasoning, COCO categories that occur once, or scenes)."""

from __future__ import annotations

import reprlib
from typing import Any

from vrft_pl.answers import NO_OBJECTS, Box, Solution
from vrft_pl.data.base import VisionTask
from vrft_pl.data.boxes import AnnotationSpace, check_box, corners, written_box
from vrft_pl.data.misplaced import refuse_other
from vrft_pl.data.sources import Record
from vrft_pl.data.written import untagged
from vrft_pl.names import normalize_name
from vrft_pl.types import InputError


class Grounding(VisionTask):
    """Questions whose answer is one box.

    Args:
        annotation_space: What coordinates in the rows mean. Sources that give a typed `Box` give pixels, whatever it
            says.
        negatives: Whether questions may ask for what is not there: ``No Objects`` is the answer of such rows then, and
            every question allows for it.
        **kwargs: Those of `VisionTask`.
    """

    def __init__(self, annotation_space: AnnotationSpace = "pixels", negatives: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.annotation_space, self.negatives = annotation_space, negatives

    def solution(self, record: Record) -> Solution:
        """Read the answer: a `Box`; or ``[x1, y1, x2, y2]`` or ``(x1,y1),(x2,y2)``, also as text, or `NO_OBJECTS`."""
        refuse_other(record.answer, record.id, "Grounding")
        answer = record.answer
        if len(record.images) != 1:
            raise InputError(f"{record.id}: expected one picture for a box, but got {len(record.images)}.")
        mask = answer.mask if isinstance(answer, Box) else None
        if denies(answer):
            if not self.negatives:
                raise InputError(
                    f"{record.id}: expected the answer to be a box, but got {NO_OBJECTS!r}. Allow for such rows by "
                    "`negatives: true`."
                )
            return Box(None, mask, optional=True)
        if isinstance(answer, Box):
            return Box(check_box(answer.xyxy, record.id, record.images[0]), mask, self.negatives)
        box = written_box(answer) if isinstance(answer, str) else corners(answer)
        if box is None:
            raise InputError(
                f"{record.id}: expected the answer to be a box [x1, y1, x2, y2], but got {reprlib.repr(answer)}."
            )
        return Box(check_box(box, record.id, record.images[0], self.annotation_space), optional=self.negatives)

    def unanswered(self, record: Record) -> Solution:
        """A box."""
        return Box((0.0, 0.0, 1.0, 1.0), optional=self.negatives)


def denies(answer: Any) -> bool:
    """Whether an answer says that nothing is there."""
    if isinstance(answer, str):
        return normalize_name(untagged(answer)[: 2 * len(NO_OBJECTS)]) == normalize_name(NO_OBJECTS)
    return isinstance(answer, Box) and answer.xyxy is None

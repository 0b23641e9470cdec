"""Pointing: the answer is a point on every object of the category asked for."""

from __future__ import annotations

import reprlib
from typing import Any

from vrft_pl.answers import XY, XYXY, Instances, Points, Solution
from vrft_pl.data.base import VisionTask
from vrft_pl.data.boxes import EDGE_TOLERANCE, AnnotationSpace, check_box, image_size, is_number
from vrft_pl.data.misplaced import refuse_other
from vrft_pl.data.sources import Record
from vrft_pl.types import ImageSource, InputError


class Pointing(VisionTask):
    """Questions whose answer is a point on every object: a count that says where.

    Args:
        annotation_space: What coordinates in the rows mean. Sources that give typed answers give pixels, whatever it
            says.
        **kwargs: Those of `VisionTask`.

    Example:
        >>> from vrft_pl.data import DetectionScenes
        >>> task = Pointing(val={"id": DetectionScenes(size=2)})
        >>> task.setup("validate")
        >>> len(task.val_dataloader()[0].dataset[0].solution.places)
        2
    """

    def __init__(self, annotation_space: AnnotationSpace = "pixels", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.annotation_space = annotation_space

    def solution(self, record: Record) -> Solution:
        """Read the answer: `Points`; `Instances` of one category; or a list of points and boxes.

        Raises:
            InputError: If it is none of these, holds a crowd or a place outside the picture, or there is not one
                picture.
        """
        if not isinstance(record.answer, Instances):
            refuse_other(record.answer, record.id, "Pointing")
        if len(record.images) != 1:
            raise InputError(f"{record.id}: expected one picture for points, but got {len(record.images)}.")
        answer, space = record.answer, self.annotation_space
        if isinstance(answer, Instances):
            answer, space = countable(answer, record.id), "pixels"
        elif isinstance(answer, Points):
            answer, space = answer.places, "pixels"
        if not isinstance(answer, list | tuple):
            raise InputError(
                f"{record.id}: expected the answer to be a list of points [x, y] or boxes [x1, y1, x2, y2], "
                f"but got {reprlib.repr(answer)}."
            )
        return Points(tuple(checked_place(place, record.id, record.images[0], space) for place in answer))

    def unanswered(self, record: Record) -> Solution:
        """Points."""
        return Points(())


def countable(truth: Instances, owner: str) -> list[XYXY]:
    """The boxes of objects that can be counted.

    Raises:
        InputError: If several categories are asked for, not all objects are annotated, or there is a crowd.
    """
    if len(truth.categories) != 1:
        raise InputError(f"{owner}: expected one category to point at, but got {list(truth.categories)}.")
    if truth.not_exhaustive or any(item.crowd for item in truth.items):
        raise InputError(f"{owner}: expected every {truth.categories[0]!r} to be annotated alone, but some are not.")
    return [item.xyxy for item in truth.items]


def checked_place(place: Any, owner: str, image: ImageSource, space: AnnotationSpace) -> XYXY | XY:
    """Check a box or a point, and convert it to pixels.

    Raises:
        InputError: If it is neither, or lies outside the picture.
    """
    if not (isinstance(place, list | tuple) and len(place) == 2 and all(map(is_number, place))):
        return check_box(place, owner, image, space)
    width, height = image_size(image)
    unit = {"pixels": None, "permille": 1000.0, "unit": 1.0}[space]
    x, y = (float(place[0]), float(place[1])) if unit is None else (place[0] * width / unit, place[1] * height / unit)
    if not (-EDGE_TOLERANCE <= x <= width + EDGE_TOLERANCE and -EDGE_TOLERANCE <= y <= height + EDGE_TOLERANCE):
        raise InputError(f"{owner}: expected a point inside the image of {width} x {height} pixels, but got {[x, y]}.")
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))

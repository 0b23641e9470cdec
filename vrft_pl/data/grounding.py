"""Grounding: the answer is one box (RefCOCO style; COCO categories that occur once, or scenes)."""

from __future__ import annotations

import json
import sys

from vrft_pl.data.base import VisionTask
from vrft_pl.data.images import FileImage
from vrft_pl.data.scenes import SceneImage
from vrft_pl.data.sources import Record
from vrft_pl.solutions import Box, Solution
from vrft_pl.types import ImageSource, InputError

EDGE_TOLERANCE = 1.0
"""Pixels by which an annotated box may pass the edge of its image, as rounding in public data sets does."""


class Grounding(VisionTask):
    """Questions whose answer is one box, in xyxy pixels of the original image. Arguments are those of `VisionTask`."""

    def solution(self, record: Record) -> Solution:
        """Read the answer: ``[x1, y1, x2, y2]``, as a list or as JSON with or without ``<answer>`` tags."""
        box = record.answer
        if isinstance(box, str):
            try:
                box = json.loads(box.replace("<answer>", "").replace("</answer>", ""))
            except (ValueError, RecursionError):
                box = None
        numbers = isinstance(box, list | tuple) and [v for v in box if is_number(v)]
        if not numbers or len(numbers) != 4 or len(box) != 4:
            raise InputError(
                f"{record.id}: expected the answer to be a box [x1, y1, x2, y2], but got {record.answer!r}."
            )
        x1, y1, x2, y2 = (float(v) for v in numbers)
        if not (x2 > x1 and y2 > y1):
            raise InputError(f"{record.id}: expected a box with x2 > x1 and y2 > y1, but got {[x1, y1, x2, y2]}.")
        if len(record.images) != 1:
            raise InputError(f"{record.id}: expected one picture for a box, but got {len(record.images)}.")
        width, height = image_size(record.images[0])
        if min(x1, y1) < -EDGE_TOLERANCE or x2 > width + EDGE_TOLERANCE or y2 > height + EDGE_TOLERANCE:
            raise InputError(
                f"{record.id}: expected a box inside the image of {width} x {height} pixels, "
                f"but got {[x1, y1, x2, y2]}."
            )
        return Box((max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)))


def is_number(value: object) -> bool:
    """Whether a value is a finite number and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def image_size(image: ImageSource) -> tuple[int, int]:
    """Width and height of a picture, without decoding it where that can be avoided."""
    match image:
        case SceneImage(size=size):
            return size, size
        case FileImage():
            return image.size()
        case _:
            return image.open().size

"""Reading and checking annotated boxes."""

from __future__ import annotations

import json
import re
import reprlib
import sys
from typing import Any, Literal

from vrft_pl.answers import XYXY
from vrft_pl.data.images import StoredImage
from vrft_pl.data.scenes import SceneImage
from vrft_pl.data.written import untagged
from vrft_pl.types import ImageSource, InputError

AnnotationSpace = Literal["pixels", "permille", "unit"]
"""Coordinates of annotated boxes: pixels of the original image, thousandths of it, or fractions of it."""
EDGE_TOLERANCE = 1.0
"""Pixels by which an annotated box may pass the edge of its image, as rounding in public data sets does."""
_MARKS = re.compile(r"<\|box_(?:start|end)\|>")
_BRACKETS = str.maketrans("()", "[]")


def check_box(box: Any, owner: str, image: ImageSource, space: AnnotationSpace = "pixels") -> XYXY:
    """Check an annotated xyxy box, and cut it at the edges of its image.

    Args:
        box: What the source holds.
        owner: The row, named in errors.
        image: The picture of the box.
        space: What the coordinates of the box mean.

    Returns:
        Pixels of the original image.

    Raises:
        InputError: If it is no box, has no area, or lies outside the image.
    """
    numbers = isinstance(box, list | tuple) and [float(v) for v in box if is_number(v)]
    if not numbers or len(numbers) != 4 or len(box) != 4:
        raise InputError(f"{owner}: expected a box [x1, y1, x2, y2], but got {reprlib.repr(box)}.")
    x1, y1, x2, y2 = numbers
    if not (x2 > x1 and y2 > y1):
        raise InputError(f"{owner}: expected a box with x2 > x1 and y2 > y1, but got {[x1, y1, x2, y2]}.")
    width, height = image_size(image)
    unit = {"pixels": None, "permille": 1000.0, "unit": 1.0}[space]
    if unit is not None:
        x1, y1, x2, y2 = x1 * width / unit, y1 * height / unit, x2 * width / unit, y2 * height / unit
    if min(x1, y1) < -EDGE_TOLERANCE or x2 > width + EDGE_TOLERANCE or y2 > height + EDGE_TOLERANCE:
        raise InputError(
            f"{owner}: expected a box inside the image of {width} x {height} pixels, but got {[x1, y1, x2, y2]}."
        )
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if not (x2 > x1 and y2 > y1):
        raise InputError(f"{owner}: expected a box with an area inside the image, but got {numbers}.")
    return x1, y1, x2, y2


def written_box(text: str) -> list[Any] | None:
    """Read the coordinates of a box from text, not yet checked.

    Args:
        text: ``[x1, y1, x2, y2]`` or ``(x1,y1),(x2,y2)`` in brackets of either kind, with or without ``<answer>`` tags
            and the special tokens that Qwen2-VL puts around a box.

    Returns:
        What `corners` returns, four values; ``None`` where the text is none of these.
    """
    try:
        values = json.loads(f"[{_MARKS.sub(' ', untagged(text)).translate(_BRACKETS)}]")
    except (ValueError, RecursionError):
        return None
    while len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    box = corners(values)
    return box if len(box) == 4 else None


def corners(box: Any) -> Any:
    """Write two points ``[[x1, y1], [x2, y2]]`` as one list; return anything else as it is."""
    match box:
        case [[x1, y1], [x2, y2]]:
            return [x1, y1, x2, y2]
    return box


def is_number(value: object) -> bool:
    """Whether a value is a finite number and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def image_size(image: ImageSource) -> tuple[int, int]:
    """Width and height of a picture, without decoding it where that can be avoided."""
    match image:
        case SceneImage(size=size):
            return size, size
        case StoredImage():
            return image.size()
        case _:
            return image.open().size

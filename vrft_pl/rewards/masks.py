"""What an answer covers, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from vrft_pl.answers import XYXY, AnswerFrame, Mask
from vrft_pl.rewards.boxes import limit_box
from vrft_pl.types import InputError, Sample

Pixels = NDArray[np.bool_]
"""A mask of the original image. Shape ``(height, width)``."""
Point = tuple[float, float]
"""x and y in pixels of the original image."""


class Segmenter(Protocol):
    """Turns a box, or points on it, into the mask of what is there, such as SAM does."""

    def __call__(self, sample: Sample, xyxy: XYXY | None, points: Sequence[Point] = ()) -> Pixels:
        """Segment. One that is never asked by points may leave them out.

        Args:
            sample: Holds the picture.
            xyxy: Pixels of the original image; lies inside, with an area. ``None`` where there are points alone.
            points: Places on the object, inside the image.

        Returns:
            Shape ``(height, width)`` of the original image.
        """


def segmented(
    segmenter: Segmenter | None, sample: Sample, xyxy: XYXY | None, points: Sequence[Point], frame: AnswerFrame
) -> Pixels:
    """What a segmenter makes of an answer; of one that names no place in the image an empty mask.

    Args:
        segmenter: Without one, the box is the mask.
        sample: Holds the picture.
        xyxy: The answered box, which may pass the edges of the image; ``None`` for none.
        points: The answered points.
        frame: Holds the size of the image.

    Raises:
        InputError: If the segmenter returns a mask of another size.
    """
    box = None if xyxy is None else limit_box(xyxy, frame)
    inside = [(x, y) for x, y in points if 0 <= x < frame.width and 0 <= y < frame.height]
    if box is not None and (box[2] <= box[0] or box[3] <= box[1]):
        box = None
    if box is None and not inside:
        return np.zeros((frame.height, frame.width), dtype=bool)
    if segmenter is None:
        assert box is not None
        return box_pixels(box, frame.width, frame.height)
    mask = np.asarray(segmenter(sample, box, inside) if inside else segmenter(sample, box), dtype=bool)
    if mask.shape != (frame.height, frame.width):
        raise InputError(
            f"{sample.id}: expected the segmenter to return a mask of shape ({frame.height}, {frame.width}), "
            f"but got {mask.shape}."
        )
    return mask


def paint_target(mask: Mask, width: int, height: int) -> tuple[Pixels, Pixels]:
    """Rasterise a ground truth, smaller shapes over larger ones. Returns the target and the ignored pixels."""
    polygons = [*mask.polygons, *mask.ignored]
    runs = [coco_mask.merge(coco_mask.frPyObjects([list(polygon)], height, width)) for polygon in polygons]
    areas = [int(coco_mask.area(run)) for run in runs]
    canvas = np.zeros((height, width), dtype=np.uint8)
    for i in sorted(range(len(runs)), key=lambda i: -areas[i]):
        canvas[coco_mask.decode(runs[i]).astype(bool)] = 1 if i < len(mask.polygons) else 2
    return canvas == 1, canvas == 2


def box_pixels(xyxy: XYXY, width: int, height: int) -> Pixels:
    """Pixels of an image whose centres lie in a box that lies in the image."""
    x1, y1, x2, y2 = (math.ceil(edge - 0.5) for edge in xyxy)
    pixels = np.zeros((height, width), dtype=bool)
    pixels[y1:y2, x1:x2] = True
    return pixels

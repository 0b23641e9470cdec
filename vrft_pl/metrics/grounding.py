"""How well one answered box covers what was asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from vrft_pl.answers import XYXY, AnswerFrame, Box, Mask
from vrft_pl.metrics.collected import Collected, Row
from vrft_pl.rewards.boxes import BoxIoU, limit_box, read_box
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Completions, InputError, Sample

Pixels = NDArray[np.bool_]
"""A mask of the original image. Shape ``(height, width)``."""


class GroundingIoU(Collected):
    """Mean IoU of answered boxes, and the share of them at or above some IoU; an answer that can't be read has 0.

    Logs ``<name>``, ``/accuracy_50`` and the like for each threshold, and ``parse_failures/<name>``.

    Args:
        thresholds: IoU from which a box is right.
        name: Name in logs. Defaults to the name of the class.

    Raises:
        ValueError: If a threshold is not in (0, 1].
    """

    solution_type = Box

    def __init__(self, thresholds: Sequence[float] = (0.5,), name: str | None = None) -> None:
        super().__init__(name)
        for threshold in thresholds:
            if not 0 < threshold <= 1:
                raise ValueError(f"Expected `thresholds` to be IoU in (0, 1], but got {threshold}.")
        self.thresholds = tuple(thresholds)
        self.reward = BoxIoU()

    def values_of(self, completions: Completions, samples: Sequence[Sample]) -> list[float | None]:
        """IoU of each answer; ``None`` where none can be read."""
        triples = zip(completions.texts, samples, completions.frames, strict=True)
        verdicts = [self.reward.grade_one(text, sample, frame) for text, sample, frame in triples]
        self.graded = self.reward.verdict(verdicts, completions, samples)
        return [None if isinstance(verdict, Unread) else verdict for verdict in verdicts]

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """Mean IoU and accuracies."""
        ious = [row.value or 0.0 for row in rows]
        accuracies = {
            f"{self.name}/accuracy_{100 * threshold:g}": sum(iou >= threshold for iou in ious) / len(rows)
            for threshold in self.thresholds
        }
        failed = sum(row.value is None for row in rows)
        return {self.name: math.fsum(ious) / len(rows), **accuracies, f"parse_failures/{self.name}": failed / len(rows)}


class Segmenter(Protocol):
    """Turns a box into the mask of what it encloses, such as SAM does."""

    def __call__(self, sample: Sample, xyxy: XYXY) -> Pixels:
        """Segment.

        Args:
            sample: Holds the picture.
            xyxy: Pixels of the original image; lies inside, with an area.

        Returns:
            Shape ``(height, width)`` of the original image.
        """


class Overlap(NamedTuple):
    """What is kept of one answer, in pixels."""

    intersection: int
    union: int
    read: bool


class MaskIoU(Collected):
    """gIoU and cIoU of what the answer covers and of the target (LISA, https://arxiv.org/abs/2308.00692, sec. 4.1).

    ``<name>/gIoU`` is the mean of the IoU of each image, ``<name>/cIoU`` the sum of all intersections divided by the
    sum of all unions. Samples without a mask are left out. As in LISA's code, smaller shapes are painted over larger
    ones, ignored pixels count for nothing, and where neither answer nor target has a pixel the IoU is 1. Deviations:
    shapes are rasterised by pycocotools, without the outline that OpenCV adds; an answer that can't be read covers no
    pixel and has IoU 0.

    Args:
        segmenter: Turns an answered box into a mask. Without one, the box is the mask.
        name: Name in logs. Defaults to the name of the class.
    """

    solution_type = Box

    def __init__(self, segmenter: Segmenter | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.segmenter = segmenter

    def judges(self, sample: Sample) -> bool:
        """Whether the sample has a mask."""
        return isinstance(sample.solution, Box) and sample.solution.mask is not None

    def values_of(self, completions: Completions, samples: Sequence[Sample]) -> list[Overlap]:
        """Count the pixels of each answer."""
        triples = zip(completions.texts, samples, completions.frames, strict=True)
        return [self.overlap(text, sample, frame) for text, sample, frame in triples]

    def overlap(self, text: str, sample: Sample, frame: AnswerFrame | None) -> Overlap:
        """Count the pixels of one answer.

        Raises:
            InputError: If there is no picture, or the segmenter returns a mask of another size.
        """
        assert isinstance(sample.solution, Box)
        assert sample.solution.mask is not None
        if frame is None:
            raise InputError(f"{sample.id}: expected a picture for a ground truth with a mask, but there is none.")
        target, ignored = paint_target(sample.solution.mask, frame.width, frame.height)
        box = read_box(text, sample, frame)
        if isinstance(box, Unread):
            return Overlap(0, int(target.sum()), False)
        answered = self.segment(sample, limit_box(box, frame), frame) & ~ignored
        return Overlap(int((answered & target).sum()), int((answered | target).sum()), True)

    def segment(self, sample: Sample, box: XYXY, frame: AnswerFrame) -> Pixels:
        """Turn a box in the image into a mask; one without an area into an empty mask."""
        if self.segmenter is None or box[2] <= box[0] or box[3] <= box[1]:
            return box_pixels(box, frame.width, frame.height)
        mask = np.asarray(self.segmenter(sample, box), dtype=bool)
        if mask.shape != (frame.height, frame.width):
            raise InputError(
                f"{sample.id}: expected the segmenter to return a mask of shape ({frame.height}, {frame.width}), "
                f"but got {mask.shape}."
            )
        return mask

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """Both IoU."""
        overlaps: list[Overlap] = [row.value for row in rows]
        ious = [overlap.intersection / overlap.union if overlap.union else float(overlap.read) for overlap in overlaps]
        union = sum(overlap.union for overlap in overlaps)
        cumulative = {f"{self.name}/cIoU": sum(overlap.intersection for overlap in overlaps) / union} if union else {}
        return {
            f"{self.name}/gIoU": math.fsum(ious) / len(ious),
            **cumulative,
            f"parse_failures/{self.name}": sum(not overlap.read for overlap in overlaps) / len(overlaps),
        }


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

"""How well one answered box covers what was asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from vrft_pl.answers import AnswerFrame, Box
from vrft_pl.metrics.collected import Collected, Row
from vrft_pl.rewards.boxes import BoxIoU, read_grounding
from vrft_pl.rewards.masks import Pixels, Segmenter, box_pixels, paint_target, segmented
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Completions, InputError, Sample

__all__ = ["GroundingIoU", "MaskIoU", "Overlap", "Pixels", "Segmenter", "box_pixels", "paint_target"]


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
        box = read_grounding(text, sample, frame)
        if isinstance(box, Unread):
            return Overlap(0, int(target.sum()), False)
        answered = segmented(self.segmenter, sample, box, (), frame) & ~ignored
        return Overlap(int((answered & target).sum()), int((answered | target).sum()), True)

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

"""How well an answered box fits."""

from __future__ import annotations

from typing import Any

from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import Unread, parse_box, read_answer
from vrft_pl.solutions import XYXY, Box
from vrft_pl.types import AnswerFrame, Sample


def pair_iou(a: XYXY, b: XYXY) -> float:
    """Intersection over union of two xyxy boxes with an area.

    Example:
        >>> pair_iou((0, 0, 10, 10), (0, 0, 10, 5))
        0.5
    """
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return intersection / union


class BoxIoU(Reward):
    """IoU between the answered box and the ground truth, both in pixels of the original image.

    The answered box is cut at the edges of the image before it is compared; one that lies outside scores 0.

    Args:
        threshold: IoU below which the score is 0.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``threshold`` is not in [0, 1].

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "Locate the dog.", Box((0, 0, 10, 5)), style="answer")
        >>> frame = AnswerFrame(20, 20, 1.0, 1.0)
        >>> [BoxIoU().grade_one(text, sample, frame) for text in ("[0, 0, 10, 10]", "(0,0),(10,5)", "no box")]
        [0.5, 1.0, None]
    """

    solution_type = Box
    bounds = (0.0, 1.0)

    def __init__(self, threshold: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= threshold <= 1:
            raise ValueError(f"Expected `threshold` to be an IoU in [0, 1], but got {threshold}.")
        self.threshold = threshold

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one box."""
        assert isinstance(sample.solution, Box)
        answer = read_answer(text, sample.style)
        if isinstance(answer, Unread):
            return answer
        box = parse_box(answer)
        if box is None or frame is None:
            return None
        x1, y1, x2, y2 = frame.to_pixels(box)
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, frame.width), min(y2, frame.height)
        if x2 <= x1 or y2 <= y1:
            return 0.0
        iou = pair_iou((x1, y1, x2, y2), sample.solution.xyxy)
        return iou if iou >= self.threshold else 0.0


class BoxAccuracy(BoxIoU):
    """1 when the answered box has at least ``threshold`` IoU with the ground truth, else 0 (accuracy at IoU 0.5).

    Args:
        threshold: IoU from which a box is right.
        **kwargs: Those of `Reward`.
    """

    def __init__(self, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(threshold, **kwargs)
        if threshold == 0:
            raise ValueError("Expected `threshold` to be above 0, but got 0: every box would be right.")

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one box."""
        iou = super().grade_one(text, sample, frame)
        return iou if isinstance(iou, Unread | None) else float(iou > 0)

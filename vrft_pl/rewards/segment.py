"""How well what an answer points out covers what was asked for."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from vrft_pl.answers import XYXY, AnswerFrame, Box, Mask
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.boxes import read_grounding
from vrft_pl.rewards.masks import Point, Segmenter, paint_target, segmented
from vrft_pl.rewards.parsing import Unread
from vrft_pl.rewards.points import read_points
from vrft_pl.types import Sample


class SegmentIoU(Reward):
    """IoU of the mask that a segmenter makes of the answered box, or points, and of the true mask.

    The reward of reasoning segmentation, where the policy says where and SAM says what (Seg-Zero,
    https://arxiv.org/abs/2503.06520, whose own rewards compare boxes and points; VisionReasoner,
    https://arxiv.org/abs/2505.12081). It is the number that LISA reports (`vrft_pl.metrics.MaskIoU`): ignored pixels
    count for nothing, and where neither mask has a pixel the score is 1, as for ``No Objects`` where nothing is there.
    Samples without a mask are left out.

    Args:
        segmenter: Such as `SamSegmenter`. Without one, the box is the mask.
        prompt: What the answer is: one ``box``, or a list of ``points`` on the object; ask for points by a
            ``template`` of the data.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``prompt`` is something else, or asks for points without a segmenter.

    Example:
        >>> truth = Box((0, 0, 10, 10), Mask(((0, 0, 10, 0, 10, 10, 0, 10),)))
        >>> sample = Sample("1", (), "Locate the dog.", truth, style="answer")
        >>> SegmentIoU().grade_one("[0, 0, 10, 5]", sample, AnswerFrame(20, 20, 1.0, 1.0))
        0.5
    """

    solution_type = Box
    bounds = (0.0, 1.0)

    def __init__(
        self, segmenter: Segmenter | None = None, prompt: Literal["box", "points"] = "box", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if prompt not in ("box", "points"):
            raise ValueError(f"Expected `prompt` to be `box` or `points`, but got {prompt!r}.")
        if prompt == "points" and segmenter is None:
            raise ValueError("Expected a `segmenter` with `prompt: points`, but got none: points cover nothing.")
        self.segmenter, self.prompt = segmenter, prompt
        self.costs = segmenter is not None

    def judges(self, sample: Sample) -> bool:
        """Whether the sample has a mask."""
        return isinstance(sample.solution, Box) and sample.solution.mask is not None

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge what one answer covers.

        Raises:
            InputError: If the segmenter returns a mask of another size.
        """
        assert isinstance(sample.solution, Box)
        assert sample.solution.mask is not None
        place = self.place(text, sample, frame)
        if isinstance(place, Unread):
            return place
        if frame is None:
            return Unread.NO_PICTURE
        answered = segmented(self.segmenter, sample, *place, frame)
        return mask_iou(answered, sample.solution.mask)

    def place(
        self, text: str, sample: Sample, frame: AnswerFrame | None
    ) -> tuple[XYXY | None, tuple[Point, ...]] | Unread:
        """Read the box, or the points."""
        if self.prompt == "points":
            points = read_points(text, sample, frame)
            return points if isinstance(points, Unread) else (None, points.places)
        box = read_grounding(text, sample, frame)
        return box if isinstance(box, Unread) else (box, ())


def mask_iou(answered: Any, mask: Mask) -> float:
    """IoU with a ground truth, ignored pixels left out; 1 where neither has a pixel."""
    height, width = answered.shape
    target, ignored = paint_target(mask, width, height)
    answered = answered & ~ignored
    union = int(np.count_nonzero(answered | target))
    return int(np.count_nonzero(answered & target)) / union if union else 1.0

"""How well an answered box fits."""

from __future__ import annotations

from typing import Any

from vrft_pl.answers import XYXY, AnswerFrame, Box
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.overlap import pair_giou, pair_iou
from vrft_pl.rewards.parsing import Unread, parse_box, read_answer, unwrap
from vrft_pl.rewards.parsing.nothing import says_nothing
from vrft_pl.rewards.parsing.text import MAX_LABEL
from vrft_pl.rewards.parsing.width import narrow
from vrft_pl.types import Sample


def limit_box(box: XYXY, frame: AnswerFrame, margin: float = 0.0) -> XYXY:
    """Move the edges of a box into the image, or into a wider frame; a box outside loses its area.

    Args:
        box: In pixels of the original image; may be infinite.
        frame: Holds the size of the image.
        margin: Image sizes to keep on each side of the image.
    """
    left, top, right, bottom = 0 - margin, 0 - margin, 1 + margin, 1 + margin  # -0.0 would be an edge otherwise
    x1, x2 = (min(max(x, left * frame.width), right * frame.width) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, top * frame.height), bottom * frame.height) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def read_box(text: str, sample: Sample, frame: AnswerFrame | None) -> XYXY | Unread:
    """Read the one box of a completion, in pixels of the original image; it may lie outside or be infinite."""
    answer = read_answer(text, sample.style)
    if isinstance(answer, Unread):
        return answer
    box = parse_box(answer, frame is not None and frame.y_first)
    if isinstance(box, Unread):
        return box
    return Unread.NO_PICTURE if frame is None else frame.to_pixels(box)


def read_grounding(text: str, sample: Sample, frame: AnswerFrame | None) -> XYXY | Unread | None:
    """Read the one box of a completion, or, as ``None``, that nothing is there, where the question allows for that."""
    answer = read_answer(text, sample.style)
    optional = isinstance(sample.solution, Box) and sample.solution.optional
    if optional and isinstance(answer, str) and len(answer) <= MAX_LABEL:
        said = unwrap(narrow(answer))
        if said == "[]" or says_nothing(said, {}):
            return None
    return read_box(text, sample, frame)


class BoxIoU(Reward):
    """IoU between the answered box and the ground truth, both in pixels of the original image.

    The answered box is cut at the edges of the image before it is compared; one that lies outside scores 0. Where
    nothing in the picture is what is asked for, ``No Objects`` scores 1 and any box 0; where something is, ``No
    Objects`` scores 0.

    Args:
        threshold: IoU below which the score is 0.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``threshold`` is not in [0, 1].

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "Locate the dog.", Box((0, 0, 10, 5)), style="answer")
        >>> frame = AnswerFrame(20, 20, 1.0, 1.0)
        >>> [BoxIoU().grade_one(text, sample, frame) for text in ("[0, 0, 10, 10]", "(0,0),(10,5)")]
        [0.5, 1.0]
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
        box, true = read_grounding(text, sample, frame), sample.solution.xyxy
        if isinstance(box, Unread):
            return box
        if box is None or true is None:
            return float(box is None and true is None)
        assert frame is not None
        iou = pair_iou(limit_box(box, frame), true)
        return iou if iou >= self.threshold else 0.0


class BoxAccuracy(BoxIoU):
    """1 when the answered box has at least ``threshold`` IoU with the ground truth, else 0 (accuracy at IoU 0.5).

    Args:
        threshold: IoU from which a box is right.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``threshold`` is not in (0, 1].
    """

    def __init__(self, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(threshold, **kwargs)
        if threshold == 0:
            raise ValueError("Expected `threshold` to be above 0, but got 0: every box would be right.")

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one box."""
        iou = super().grade_one(text, sample, frame)
        return iou if isinstance(iou, Unread | None) else float(iou > 0)


class BoxGIoU(Reward):
    """Generalized IoU between the answered box and the ground truth, rescaled: (1 + GIoU) / 2.

    Unlike IoU, it tells a near miss from a far one (Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630, eq. 1-3
    and algorithm 1). Deviation: edges of the answered box beyond one image size around the image are moved
    there, so that none can overflow.

    Args:
        **kwargs: Those of `Reward`.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "Locate the dog.", Box((0, 0, 10, 10)), style="answer")
        >>> frame = AnswerFrame(40, 40, 1.0, 1.0)
        >>> texts = ("[0, 0, 10, 10]", "[10, 0, 20, 10]", "[30, 0, 40, 10]")
        >>> [BoxGIoU().grade_one(text, sample, frame) for text in texts]
        [1.0, 0.5, 0.25]
    """

    solution_type = Box
    bounds = (0.0, 1.0)

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one box."""
        assert isinstance(sample.solution, Box)
        box, true = read_grounding(text, sample, frame), sample.solution.xyxy
        if isinstance(box, Unread):
            return box
        if box is None or true is None:
            return float(box is None and true is None)
        assert frame is not None
        return (1 + pair_giou(limit_box(box, frame, margin=1.0), true)) / 2

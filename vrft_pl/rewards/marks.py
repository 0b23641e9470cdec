"""How an answer is drawn beside the truth."""

from __future__ import annotations

from functools import singledispatch

from vrft_pl.answers import AnswerFrame, Box, Instances, Mark, Solution
from vrft_pl.rewards.boxes import limit_box, read_box
from vrft_pl.rewards.detection import read_detections
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Sample


@singledispatch
def answered_marks(solution: Solution, text: str, sample: Sample, frame: AnswerFrame | None) -> tuple[Mark, ...] | None:
    """What a completion draws on the first picture, in its pixels; ``None`` where nothing can be read, or drawn.

    A kind of your own says so by ``@answered_marks.register`` on a function of the same arguments.

    Args:
        solution: The ground truth, whose kind chooses the reading.
        text: What the policy wrote.
        sample: The sample.
        frame: How to read coordinates in the text.
    """
    return None


@answered_marks.register
def box_marks(solution: Box, text: str, sample: Sample, frame: AnswerFrame | None) -> tuple[Mark, ...] | None:
    """The box, cut at the edges of the picture."""
    box = read_box(text, sample, frame)
    return None if isinstance(box, Unread) or frame is None else (Mark(limit_box(box, frame)),)


@answered_marks.register
def detection_marks(
    solution: Instances, text: str, sample: Sample, frame: AnswerFrame | None
) -> tuple[Mark, ...] | None:
    """Every box, with its confidence if it has one."""
    answered = read_detections(text, sample, frame)
    if isinstance(answered, Unread):
        return None
    labels = ("" if score != score else f"{score:.2f}" for score in answered.confidences.tolist())  # NaN: none
    return tuple(Mark(tuple(box), label) for box, label in zip(answered.boxes.tolist(), labels, strict=True))

"""How an answer is drawn beside the truth."""

from __future__ import annotations

from functools import singledispatch

from vrft_pl.answers import AnswerFrame, Box, Instances, Mark, Points, Solution, Text, around
from vrft_pl.rewards.boxes import limit_box, read_grounding
from vrft_pl.rewards.detection import read_detections
from vrft_pl.rewards.parsing import Unread, parse_detections, read_answer
from vrft_pl.rewards.points import read_points
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
    """The box, cut at the edges of the picture; nothing where the answer says that nothing is there."""
    box = read_grounding(text, sample, frame)
    if box is None:
        return ()
    return None if isinstance(box, Unread) or frame is None else (Mark(limit_box(box, frame)),)


@answered_marks.register
def detection_marks(
    solution: Instances, text: str, sample: Sample, frame: AnswerFrame | None
) -> tuple[Mark, ...] | None:
    """Every box, with its category where several are asked for, and its confidence if it has one."""
    answered = read_detections(text, sample, frame)
    if isinstance(answered, Unread):
        return None
    names = solution.categories if len(solution.categories) > 1 else ("",)
    rows = zip(answered.boxes.tolist(), answered.categories.tolist(), answered.confidences.tolist(), strict=True)
    return tuple(Mark(tuple(box), box_label("?" if i < 0 else names[i], score)) for box, i, score in rows)


@answered_marks.register
def point_marks(solution: Points, text: str, sample: Sample, frame: AnswerFrame | None) -> tuple[Mark, ...] | None:
    """A small square around every point."""
    pointed = read_points(text, sample, frame)
    return None if isinstance(pointed, Unread) else tuple(Mark(around(place)) for place in pointed.places)


@answered_marks.register
def text_marks(solution: Text, text: str, sample: Sample, frame: AnswerFrame | None) -> tuple[Mark, ...] | None:
    """The boxes that free text holds, if it is a list of them, labelled as it labels them."""
    answer = read_answer(text, sample.style)
    if isinstance(answer, Unread) or frame is None:
        return None
    found = parse_detections(answer, (), frame.y_first)
    if isinstance(found, Unread):
        return None
    boxes = [(limit_box(frame.to_pixels(item.xyxy), frame), item) for item in found.items]
    return tuple(
        Mark(box, box_label(item.label or "", float("nan") if item.confidence is None else item.confidence))
        for box, item in boxes
    )


def box_label(name: str, confidence: float) -> str:
    """What stands beside an answered box.

    Example:
        >>> box_label("cat", 0.5), box_label("", 0.5), box_label("cat", float("nan"))
        ('cat 0.50', '0.50', 'cat')
    """
    stated = "" if confidence != confidence else f"{confidence:.2f}"  # NaN: none
    return f"{name} {stated}".strip()

"""What a completion answers, as a value."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from vrft_pl.answers import NO_OBJECTS, AnswerFrame, Box, Choice, Instances, Number, Points, Solution
from vrft_pl.rewards.boxes import limit_box, read_grounding
from vrft_pl.rewards.detection import read_detections
from vrft_pl.rewards.parsing import Unread, parse_choice, parse_number, read_answer
from vrft_pl.rewards.parsing.number import NUMBER_UNITS
from vrft_pl.rewards.points import read_points
from vrft_pl.types import Sample


@singledispatch
def answered_value(solution: Solution, text: str, sample: Sample, frame: AnswerFrame | None) -> Any:
    """What a completion answers, as JSON holds it, in pixels of the original image; or why it can't be read.

    Unless a kind says otherwise, the text of the answer. One of your own says so by ``@answered_value.register`` on a
    function of the same arguments.

    Args:
        solution: An answer whose kind chooses the reading.
        text: What the policy wrote.
        sample: The sample.
        frame: How to read coordinates in the text.
    """
    return read_answer(text, sample.style)


@answered_value.register
def number_value(solution: Number, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread:
    """The number, without its unit."""
    answer = read_answer(text, sample.style)
    quantity = answer if isinstance(answer, Unread) else parse_number(answer, words=True, units=NUMBER_UNITS)
    return quantity if isinstance(quantity, Unread) else quantity.value


@answered_value.register
def choice_value(solution: Choice, text: str, sample: Sample, frame: AnswerFrame | None) -> str | Unread:
    """The letter."""
    answer = read_answer(text, sample.style)
    return answer if isinstance(answer, Unread) else parse_choice(answer, solution.options)


@answered_value.register
def box_value(solution: Box, text: str, sample: Sample, frame: AnswerFrame | None) -> list[float] | str | Unread:
    """The edges of the box, cut at those of the picture; ``No Objects`` where the answer says so."""
    box = read_grounding(text, sample, frame)
    if box is None:
        return NO_OBJECTS
    return box if isinstance(box, Unread) else rounded(limit_box(box, frame) if frame is not None else box)


@answered_value.register
def detections_value(
    solution: Instances, text: str, sample: Sample, frame: AnswerFrame | None
) -> list[list[float]] | Unread:
    """The edges of every box, cut at those of the picture."""
    answered = read_detections(text, sample, frame)
    return answered if isinstance(answered, Unread) else [rounded(box) for box in answered.boxes.tolist()]


@answered_value.register
def points_value(solution: Points, text: str, sample: Sample, frame: AnswerFrame | None) -> list[list[float]] | Unread:
    """Every point."""
    pointed = read_points(text, sample, frame)
    return pointed if isinstance(pointed, Unread) else [rounded(place) for place in pointed.places]


def rounded(values: Any) -> list[float]:
    """Round coordinates to thousandths of a pixel."""
    return [round(value, 3) for value in values]

"""What is read of an answer that nobody judges."""

from __future__ import annotations

import pytest

from vrft_pl.answers import AnswerFrame, Box, Choice, Expression, Instances, Label, Number, Points, Text
from vrft_pl.rewards import Unread, answered_marks, answered_value
from vrft_pl.types import Sample

FRAME = AnswerFrame(200, 100, 0.2, 0.1)
"""Thousandths of a picture of 200 x 100 pixels."""
BOX, LIST, POINTS = Box((0, 0, 1, 1), optional=True), Instances((), ("dog",), "a.jpg"), Points(())
FOUND = '[{"bbox_2d": [100, 200, 500, 2000], "label": "dog"}, {"bbox_2d": [0, 0, 10, 10]}]'


def read(kind, text, frame=FRAME, style="answer"):
    return answered_value(kind, text, Sample("1", (), "?", kind, style=style), frame)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Number(0), "three", 3.0),
        (Number(0), "12 cm", 12.0),
        (Number(0), "some", Unread.MALFORMED),
        (Choice("A", ("30", "40")), "(B) 40", "B"),
        (Label("?"), " Fire lily. ", "Fire lily."),
        (Expression("?"), "\\sqrt{3}", "\\sqrt{3}"),
        (Text(""), "A dog.", "A dog."),
        (BOX, "[100, 200, 500, 2000]", [20.0, 20.0, 100.0, 100.0]),
        (BOX, "No Objects", "No Objects"),
        (BOX, "somewhere", Unread.MALFORMED),
        (LIST, FOUND, [[20.0, 20.0, 100.0, 100.0], [0.0, 0.0, 2.0, 1.0]]),
        (LIST, "No Objects", []),
        (POINTS, "[[100, 200]]", [[20.0, 20.0]]),
    ],
    ids=lambda value: str(value)[:24],
)
def test_an_answer_is_read_as_its_kind_is_in_pixels(kind, text, expected):
    assert read(kind, text) == expected
    assert read(kind, f"<think>hm</think><answer>{text}</answer>", style="think") == expected


@pytest.mark.parametrize("kind", [Number(0), Choice("A"), Label("?"), Text(""), BOX, LIST, POINTS], ids=repr)
@pytest.mark.parametrize("text", ["", "\0", "\ud800", "[" * 5000, "9" * 5000, "[1, 2, 1e999, 4]"], ids=range(6))
def test_no_text_is_too_odd_to_read(kind, text):
    for frame in (FRAME, None):
        value = read(kind, text, frame)
        assert isinstance(value, Unread | str | float | list)
        answered_marks(kind, text, Sample("1", (), "?", kind, style="answer"), frame)


def test_boxes_in_free_text_are_drawn_with_their_labels():
    marks = answered_marks(Text(""), FOUND, Sample("1", (), "?", Text(""), style="answer"), FRAME)
    assert [(mark.shape, mark.label) for mark in marks] == [((20, 20, 100, 100), "dog"), ((0, 0, 2, 1), "")]
    assert answered_marks(Text(""), "a dog", Sample("1", (), "?", Text(""), style="answer"), FRAME) is None

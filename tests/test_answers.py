from __future__ import annotations

import re

import pytest

from vrft_pl.answers import AnswerFrame, Box, Choice, Instance, Instances, Label, Mark, Mask, Transformation
from vrft_pl.policy.coordinates import answer_frame
from vrft_pl.prompts import target_text
from vrft_pl.types import InputError, Sample


@pytest.mark.parametrize("letter", ["b", "", "AB", "1", "\u00c9", " A"])
def test_a_choice_is_a_letter_that_an_answer_can_be(letter):
    with pytest.raises(ValueError, match=re.escape(f"Expected `letter` to be one of A to Z, but got {letter!r}.")):
        Choice(letter)


@pytest.mark.parametrize("name", ["", " \n"])
def test_a_label_is_not_blank(name):
    with pytest.raises(ValueError, match=re.escape(f"Expected `name` to be the name of a class, but got {name!r}.")):
        Label(name)


def test_a_transformation_has_a_call():
    with pytest.raises(ValueError, match="Expected `calls` to hold at least one call, but got none"):
        Transformation(())


@pytest.mark.parametrize("side", [1, 2, 640])
def test_the_space_says_how_finely_coordinates_are_written(side):
    box = (0, 0, side, side)
    assert answer_frame("pixels", (side, side), None).text(box) == f"[0, 0, {side}, {side}]"
    assert answer_frame("unit", (side, side), None).text(box) == "[0.000, 0.000, 1.000, 1.000]"


def test_a_box_without_a_picture_names_its_row():
    with pytest.raises(InputError, match="row 7: expected a picture for an answer with boxes, but there is none."):
        target_text(Sample("row 7", (), "Where?", Box((0, 0, 1, 1)), style="answer"), None)


def test_a_box_that_would_vanish_is_widened():
    assert AnswerFrame(1000, 1000, 10.0, 10.0).text((12, 0, 13, 1000)) == "[1, 0, 2, 100]"


def test_a_box_that_would_vanish_is_widened_by_one_step_of_fractions():
    frame = answer_frame("unit", (10_000, 10_000), None)
    assert frame.decimals == 3
    assert frame.text((5001, 5001, 5002, 5002)) == "[0.500, 0.500, 0.501, 0.501]"


def test_answers_and_pixels_are_one_scale_apart_on_each_axis():
    frame = AnswerFrame(640, 480, 0.5, 0.25)
    assert frame.to_pixels((1, 2, 3, 4)) == (0.5, 0.5, 1.5, 1.0)
    assert frame.to_answer((0.5, 0.5, 1.5, 1.0)) == (1, 2, 3, 4)


def test_crowds_are_drawn_faintly_and_below_the_other_objects():
    xyxy = (0.0, 0.0, 2.0, 2.0)
    items = (Instance(xyxy, "dog"), Instance(xyxy, "dog", crowd=True))
    assert Instances(items, ("dog",), "a.jpg").marks() == (Mark(xyxy, faint=True), Mark(xyxy, faint=False))


def test_the_outline_that_a_box_encloses_is_drawn_below_it():
    outline = (0.0, 0.0, 2.0, 0.0, 2.0, 2.0)
    box = Box((0.0, 0.0, 2.0, 2.0), Mask((outline,)))
    assert box.marks() == (Mark(outline), Mark(box.xyxy))
    assert not any(mark.faint for mark in box.marks())


def test_what_a_file_calls_a_picture_makes_no_other_answer():
    xyxy, items = (0.0, 0.0, 2.0, 2.0), (Instance((0.0, 0.0, 2.0, 2.0), "dog"),)
    assert Instance(xyxy, "dog", uncut=(-1.0, 0.0, 2.0, 2.0)) == Instance(xyxy, "dog")
    assert Instances(items, ("dog",), "a.jpg", image_id=7) == Instances(items, ("dog",), "a.jpg")

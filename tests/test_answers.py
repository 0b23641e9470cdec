from __future__ import annotations

import re

import pytest

from vrft_pl.answers import Choice, Label, Transformation


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

from __future__ import annotations

import pytest
from builders import make_sample
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.answers import Call, Transformation
from vrft_pl.prompts import answer_text
from vrft_pl.rewards.parsing import Unread, normalize_argument, parse_calls

RED, BIG = Call("change_color", "2", "red"), Call("change_size", "obj_1", "big")
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8).filter(lambda name: name != "and")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("change_color(2, red), change_size(obj_1, big)", id="commas"),
        pytest.param("change_color(2, red); change_size(obj_1, big).", id="semicolon-and-full-stop"),
        pytest.param("change_color(2, red) -> change_size(obj_1, big)", id="arrows"),
        pytest.param("change_color(2, red) and change_size(obj_1, big)", id="and"),
        pytest.param("1. change_color(2, red)\n2. change_size(obj_1, big)", id="numbered"),
        pytest.param("1.change_color(2, red) 2)change_size(obj_1, big)", id="numbered-without-blank"),
        pytest.param("- change_color(2, red)\n* change_size(obj_1, big)", id="bullets"),
        pytest.param("['change_color(2, red)', \"change_size(obj_1, big)\"]", id="list-of-strings"),
        pytest.param("```python\nchange_color(2, red)\nchange_size(obj_1, big)\n```", id="fence"),
        pytest.param("Change_Color ( '2' , \"RED\" ), CHANGE_SIZE(`obj_1`, Big)", id="case-and-quotes"),
        pytest.param("change_color(object=2, value=red), change_size(obj = obj_1, size = big)", id="argument-names"),
        pytest.param("change_color(2.0, red), change_size(obj_1, big)", id="whole-number"),
        pytest.param("change_color(2, red), change_size(obj_1, big), change_shape(3", id="cut-in-a-call"),
        pytest.param("change_color(2, red), change_size(obj_1, big), chan", id="cut-in-a-name"),
        pytest.param("change\\_color(2, red), change\\_size(obj\\_1, big)", id="escaped-underscores"),
        pytest.param("**change_color(2, red)**, **change_size(obj_1, big)**", id="bold"),
        pytest.param("change_color(2, red) then change_size(obj_1, big)", id="then"),
        pytest.param("Step 1: change_color(2, red)\nStep 2: change_size(obj_1, big)", id="steps"),
        pytest.param("(change_color(2, red), change_size(obj_1, big))", id="tuple"),
        pytest.param("change_color（2，red）、change_size（obj_1，big）。", id="full-width"),
        pytest.param("First, change_color(2, red). Then, change_size(obj_1, big).", id="first-and-then"),
    ],
)
def test_calls_are_read_with_only_separators_between(text):
    assert parse_calls(text) == (RED, BIG)


def test_calls_stay_in_order_and_repeats_stay():
    assert parse_calls("change_color(2, red), change_size(obj_1, big), change_color(2, red)") == (RED, BIG, RED)


def test_a_pair_of_numbers_is_one_value():
    assert parse_calls("change_position(2, (0, -1))") == (Call("change_position", "2", "(0,-1)"),)


@pytest.mark.parametrize("value", ["(0, -1.0)", "(0,\u22121)", "[0,-1]", "value=[0.0, -1]", "(0, -1)"])
def test_spellings_of_a_pair_are_one(value):
    assert parse_calls(f"change_position(obj_1, {value})") == (Call("change_position", "obj_1", "(0,-1)"),)


def test_words_between_calls_may_be_functions():
    assert parse_calls("then(1, a), step(2, b), and(3, c)") == (
        Call("then", "1", "a"),
        Call("step", "2", "b"),
        Call("and", "3", "c"),
    )


def test_a_value_may_be_missing():
    assert parse_calls("change_color(2), f()") == (Call("change_color", "2", ""), Call("f", "", ""))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", Unread.EMPTY, id="empty"),
        pytest.param("red and big", Unread.MALFORMED, id="prose"),
        pytest.param("not change_color(2, red)", Unread.MALFORMED, id="not"),
        pytest.param("change_color(2, red) not", Unread.MALFORMED, id="not-behind"),
        pytest.param("First change_color(2, red)", Unread.MALFORMED, id="text-before"),
        pytest.param("change_color(2, red) is right", Unread.MALFORMED, id="text-after"),
        pytest.param("change_color(2, red) or maybe change_size(obj_1, big)", Unread.MALFORMED, id="text-between"),
        pytest.param("change_color(2, ((red)))", Unread.MALFORMED, id="too-deep"),
        pytest.param("[2, red]", Unread.MALFORMED, id="no-call"),
        pytest.param(" , ; ", Unread.MALFORMED, id="separators"),
        pytest.param("цвет(2, red)", Unread.MALFORMED, id="other-letters"),
        pytest.param("change_color(2, r", Unread.TRUNCATED, id="cut"),
        pytest.param("f(a, b), " * 500, Unread.TOO_LONG, id="too-long"),
    ],
)
def test_anything_else_is_no_list_of_calls(text, reason):
    assert parse_calls(text) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Dark Red ", "darkred"),
        ("value='Red'", "red"),
        ("2.0", "2"),
        ("2.50", "2.50"),
        ("1e999", "1e999"),
        ("", ""),
        ("(1.5, 2.0)", "(1.5,2)"),
        ("-0.0", "0"),
    ],
)
def test_spellings_of_an_argument_are_one(text, expected):
    assert normalize_argument(text) == expected


@given(st.lists(st.builds(Call, NAMES, NAMES, NAMES), min_size=1, max_size=5))
def test_calls_are_read_back_as_supervised_training_writes_them(calls):
    assert parse_calls(answer_text(make_sample(Transformation(tuple(calls))), None)) == tuple(calls)


@given(st.text(max_size=20))
def test_an_argument_keeps_its_form(text):
    argument = normalize_argument(text)
    assert not any(mark.isspace() or mark in "\"'`" for mark in argument)

"""Any text is read or refused in 50 ms, and in a time that grows with its length, not with the square of it."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from timing import seconds

from vrft_pl.names import normalize_name
from vrft_pl.rewards.parsing import (
    Unread,
    parse_box,
    parse_calls,
    parse_choice,
    parse_detections,
    parse_expression,
    parse_label,
    parse_number,
    read_answer,
    read_values,
    unwrap,
)
from vrft_pl.rewards.parsing.blocks import MAX_ANSWER
from vrft_pl.rewards.parsing.boxes import MAX_BOXES, MAX_LIST
from vrft_pl.rewards.parsing.number import read_unit
from vrft_pl.rewards.parsing.prose import without_prose


def parse_pets(text):
    return parse_detections(text, ("dog", "cat"), y_first=True)


PARSERS = (
    parse_pets,
    parse_box,
    parse_calls,
    parse_choice,
    parse_detections,
    parse_expression,
    parse_label,
    parse_number,
)
LISTS = {
    "boxes": "[1,1,2,2],",
    "objects": "{'Position': [1, 1, 22, 22], 'Confidence': 0.5, 'Label': 'dog'}, ",
    "points": "(1,1),(2,2),",
    "boxes of points": "[[1,1],[2,2]],",
}
UNITS = [
    "[", "(", "{", "[]", "()", "{}", "[1,", "[1,1", "[a,", "{a:", "{a:{b:1},", "a:1,",
    "'", '"', "a'", "'a'b", "\\", "\\'",
    "\\u0041", "'\\ud800", ",", ":", ";", "1 ", "1,000", "9", "9.", "1e", "+-", ".", "a ", " ", "\n", "-", "- ", "A ",
    "A.", "(A)", "or ", "$", "**", "`", "```", "```json\n", "\\boxed{", "\\text{", "\\text{a}", "}", "f(", "f()",
    "f(a,b),", "f((a),", "1.", "and ", "_", "\x00", "\ud800", "\u202e", "３", "ﷺ", "𝟛", "e\u0301", "İ", "ß", "the ",
    "an ", "<answer>", "<think>", "</think>", "<think></think>", "<ref>", "<ref>a</ref>", "<box>",
    "dog: [1,2,3,4]", "(dog)", "no ",
    "of a ", "none ", "<|", "<|object_ref_start|>", "<|box_start|>", "then ", "step 1:", "1. [", "**A**",
    "\u200b", "\\_",
]  # fmt: skip

FORMS = (
    *("[1, 24,30, 40.5]", "{'box': [1, 2, 3, 4], 'score': '9%'}", "(1,2),(3,4)"),
    *("-3.5 cm^2", "5!^2", "B. 3 m", "f(1, .0)"),
)
ODD = [chr(code) for code in range(0x3100) if unicodedata.category(chr(code)) in ("Cc", "Zs", "Zl", "Zp")]
ODD += [chr(code) for code in range(sys.maxunicode) if unicodedata.digit(chr(code), None) == 3]


@pytest.mark.parametrize("parse", [*PARSERS, read_values, read_unit], ids=lambda parse: parse.__name__)
def test_every_control_blank_and_digit_in_any_place_of_an_answer_is_only_data(parse):
    for form in FORMS:
        for place in range(len(form) + 1):
            for odd in ODD:
                parse(form[:place] + odd + form[place:])
                parse(form[:place] + odd + form[place + 1 :])
    assert len(ODD) > 140


@pytest.mark.parametrize("unit", LISTS.values(), ids=LISTS)
def test_the_longest_list_of_boxes_is_read_in_time(unit):
    text = f"[{unit * ((MAX_LIST - 3) // len(unit))}]"
    detections = parse_detections(text)
    assert len(detections.items) == min(text.count(unit), MAX_BOXES)
    assert len(detections.items) + detections.unreadable == text.count(unit)
    assert seconds(parse_detections, text, enough=0.05) < 0.05


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
def test_any_answer_is_read_or_refused_in_time(parse):
    for unit in UNITS:
        for length in (MAX_ANSWER, MAX_LIST, 100_000):
            for around in ("{}", "[{}]", "$1{}$"):
                text = around.replace("{}", unit * ((length - 4) // len(unit)))
                assert seconds(parse, text, enough=0.05) < 0.05, (unit, length, around)


@pytest.mark.parametrize(
    "read",
    [
        *(read_values, unwrap, read_unit, normalize_name, without_prose),
        *(lambda text: read_answer(text, "think"), lambda text: read_answer(text, "answer")),
    ],
)
def test_eight_times_the_text_takes_no_more_than_24_times_as_long(read):
    for unit in UNITS:
        for around in ("{}", "[{}", "x{}", "{}x"):
            short, long = (around.replace("{}", unit * (size // len(unit))) for size in (4_000, 32_000))
            limit = 24 * seconds(read, short) + 5e-3  # 64 times if it were quadratic
            assert seconds(read, long, enough=limit) < limit, (unit, around)


def test_50000_brackets_are_refused_without_recursion():
    for brackets in ("[" * 50_000, "{'a':" * 10_000, "[" * 25_000 + "]" * 25_000):
        assert read_values(brackets) == Unread.TOO_LONG

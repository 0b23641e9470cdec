from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.data.prompts import TAGS
from vrft_pl.rewards.parsing import parse_box, parse_number, read_answer, read_blocks

COORDINATE = st.integers(-5000, 5000).map(lambda v: v / 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<think>a</think><answer>3</answer>", "3", id="plain"),
        pytest.param("<think>a</think><answer>\n 3\n</answer>\n", "3", id="several-lines"),
        pytest.param("a</think><answer>3</answer>", "3", id="thoughts-opened-in-the-prompt"),
        pytest.param("<answer>3</answer>", "3", id="no-thoughts"),
        pytest.param("<answer>4</answer></think><answer>3</answer>", "3", id="thoughts-hold-another-answer"),
        pytest.param("<think><answer>3</answer></think>", None, id="answer-inside-the-thoughts-only"),
        pytest.param("<think>a<answer>3</answer>", None, id="thoughts-never-closed"),
        pytest.param("<answer>4</answer><answer>3</answer>", None, id="two-answers"),
        pytest.param(
            "<think>a</think><answer>4</answer><think>b</think><answer>3</answer>", None, id="second-thoughts"
        ),
        pytest.param("<think>a</think><answer>4</answer></think><answer>3</answer>", None, id="truth-pasted-after"),
        pytest.param("<think>a<think>b</think><answer>3</answer></think>", None, id="answer-inside-nested-thoughts"),
        pytest.param("<think>a<think>b</think>c</think><answer>3</answer>", "3", id="nested-thoughts"),
        pytest.param("<answer><answer>3</answer></answer>", None, id="nested"),
        pytest.param("<answer>3", None, id="unclosed"),
        pytest.param("</answer>3<answer>", None, id="crossed"),
        pytest.param("</answer><answer>3</answer>", None, id="closed-twice"),
        pytest.param("<answer> </answer>", None, id="blank"),
        pytest.param("3", None, id="no-tag"),
        pytest.param("<ANSWER>3</ANSWER>", None, id="upper-case"),
        pytest.param("", None, id="empty"),
    ],
)
@pytest.mark.parametrize("style", ["think", "caption"])
def test_the_answer_is_the_one_block_after_the_thoughts(text, expected, style):
    assert read_answer(text, style) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [(" 3\n", "3"), (" ", None), ("<answer>3</answer>", "<answer>3</answer>")]
)
def test_the_bare_answer_is_the_whole_text(text, expected):
    assert read_answer(text, "answer") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("3", 3.0, id="whole"),
        pytest.param("3.", 3.0, id="full-stop"),
        pytest.param(" +3.50 ", 3.5, id="sign-and-blanks"),
        pytest.param("-2e1", -20.0, id="exponent"),
        pytest.param(".5", 0.5, id="no-leading-zero"),
        pytest.param("-0", 0.0, id="minus-zero"),
        pytest.param("1,234,567.5", 1234567.5, id="thousands"),
        pytest.param("12,34", None, id="comma-elsewhere"),
        pytest.param("1_000", None, id="underscore"),
        pytest.param("not 3", None, id="text-before"),
        pytest.param("3 apples", None, id="text-after"),
        pytest.param("7 and then 3", None, id="two-numbers"),
        pytest.param("2+1", None, id="expression"),
        pytest.param("0x10", None, id="hexadecimal"),
        pytest.param("True", None, id="boolean"),
        pytest.param("nan", None, id="nan"),
        pytest.param("inf", None, id="inf"),
        pytest.param("1e999", None, id="overflow"),
        pytest.param("٣", None, id="arabic-digit"),
        pytest.param("３", None, id="fullwidth-digit"),
        pytest.param("²", None, id="superscript"),
        pytest.param("3\u200f", None, id="right-to-left-mark"),
        pytest.param("3\x00", None, id="nul"),
        pytest.param("three", None, id="word"),
        pytest.param("", None, id="empty"),
        pytest.param("1" * 5000, None, id="too-long"),
    ],
)
def test_a_number_is_the_whole_answer(text, expected):
    assert parse_number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("zero", 0), ("Three", 3), ("TEN.", 10), ("eleven", 11), ("twenty", 20), ("3", 3), ("twenty-one", None)],
)
def test_words_count_if_asked_for(text, expected):
    assert parse_number(text, words=True) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_that_python_writes_is_read_back(value):
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[1, 2.5, 30, 40]", id="list"),
        pytest.param("(1,2.5),(30,40)", id="two-corners"),
        pytest.param("[[1, 2.5], [30, 40]]", id="nested"),
        pytest.param("1 2.5 30 40", id="blanks"),
        pytest.param('{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}', id="qwen"),
        pytest.param("<|box_start|>(1,2.5),(30,40)<|box_end|>", id="special-tokens"),
        pytest.param("[1,\n 2.5,\n 3e1,\n +40.0]", id="lines-exponent-sign"),
    ],
)
def test_a_box_is_four_numbers_in_any_brackets(text):
    assert parse_box(text) == (1.0, 2.5, 30.0, 40.0)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[1, 2, 3]", id="three-numbers"),
        pytest.param("[1, 2, 3, 4, 5]", id="five-numbers"),
        pytest.param("[1, 2, 30, 40], [1, 2, 30, 40]", id="two-boxes"),
        pytest.param("[30, 40, 1, 2]", id="corners-swapped"),
        pytest.param("[30, 2, 1, 40]", id="left-and-right-swapped"),
        pytest.param("[1, 2, 1, 40]", id="no-width"),
        pytest.param("[1, 2, 30, 2]", id="no-height"),
        pytest.param("[1, 2, 30, 1e999]", id="infinite"),
        pytest.param("[nan, 2, 30, 40]", id="nan"),
        pytest.param("[True, 2, 30, 40]", id="boolean"),
        pytest.param("[١, ٢, ٣, ٤]", id="arabic-digits"),
        pytest.param("No Objects", id="words"),
        pytest.param("", id="empty"),
        pytest.param("[1, 2, 30, 40]" + " " * 5000, id="too-long"),
    ],
)
def test_anything_else_is_no_box(text):
    assert parse_box(text) is None


@given(st.lists(COORDINATE, min_size=4, max_size=4))
def test_a_box_is_read_back_if_it_has_an_area(values):
    x1, y1, x2, y2 = values
    assert parse_box(str(values)) == (tuple(values) if x2 > x1 and y2 > y1 else None)


@given(st.text(alphabet="0123456789.,-+eE[]() \n<>/aN", max_size=60))
def test_whatever_is_read_is_finite(text):
    number, box = parse_number(text), parse_box(text)
    assert number is None or math.isfinite(number)
    assert box is None or (all(map(math.isfinite, box)) and box[2] > box[0] and box[3] > box[1])


def test_blocks_are_read_by_tag():
    blocks = read_blocks(" <think>a\nb</think>\n<answer> 3 </answer>\n", ("think", "answer"))
    assert blocks == {"think": "a\nb", "answer": " 3 "}


@given(st.lists(st.sampled_from([f"<{s}{t}>" for t in TAGS["caption"] for s in ("", "/")] + ["x"]), max_size=12))
def test_tags_in_any_order_are_read_or_refused(pieces):
    text = "".join(pieces)
    for tags in TAGS.values():
        blocks = read_blocks(text, tags)
        assert blocks is None or "".join(f"<{t}>{blocks[t]}</{t}>" for t in tags) == text
    answer = read_answer(text, "think")
    assert answer is None or f"<answer>{answer}</answer>" in text

from __future__ import annotations

import pytest
from builders import make_sample

from vrft_pl.answers import Label
from vrft_pl.prompts import target_text
from vrft_pl.rewards import Format
from vrft_pl.styles import STYLES

THINK = "<think>a</think><answer>3</answer>"
CAPTION = f"<summary>s</summary><caption>c</caption>{THINK}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(THINK, 1.0, id="plain"),
        pytest.param(" <think>a</think>\n\n<answer>3</answer>\n", 1.0, id="blanks-outside"),
        pytest.param("<think>a\nb</think><answer>\n3\n</answer>", 1.0, id="several-lines"),
        pytest.param("<think></think><answer>3</answer>", 0.0, id="no-thought"),
        pytest.param("<think>a</think><answer> </answer>", 0.0, id="blank-answer"),
        pytest.param("<think></think><answer></answer>", 0.0, id="only-tags"),
        pytest.param("<answer>3</answer><think>a</think>", 0.0, id="out-of-order"),
        pytest.param(THINK + "<answer>3</answer>", 0.0, id="two-answers"),
        pytest.param("<think>a</think>" + THINK, 0.0, id="two-thoughts"),
        pytest.param(THINK + THINK, 0.0, id="twice"),
        pytest.param("<think>a<think>b</think></think><answer>3</answer>", 0.0, id="nested-thoughts"),
        pytest.param("<think>a<answer>3</answer></think><answer>3</answer>", 0.0, id="answer-in-the-thoughts"),
        pytest.param("<think>a<answer>3</think></answer>", 0.0, id="crossed"),
        pytest.param("<think>a</think><answer>3", 0.0, id="unclosed"),
        pytest.param("a</think><answer>3</answer>", 0.0, id="unopened"),
        pytest.param("So: " + THINK, 0.0, id="text-before"),
        pytest.param("<think>a</think> so <answer>3</answer>", 0.0, id="text-between"),
        pytest.param(THINK + ".", 0.0, id="text-after"),
        pytest.param("3", 0.0, id="no-tag"),
        pytest.param("", 0.0, id="empty"),
    ],
)
def test_thoughts_then_answer(text, expected):
    assert Format("think").grade_one(text, make_sample(), None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(CAPTION, 1.0, id="plain"),
        pytest.param(THINK, 0.0, id="no-caption"),
        pytest.param(f"<caption>c</caption><summary>s</summary>{THINK}", 0.0, id="out-of-order"),
        pytest.param(CAPTION.replace("<caption>c", "<caption>"), 0.0, id="empty-caption"),
        pytest.param(CAPTION.replace("s</summary>", "<answer>3</answer></summary>"), 0.0, id="answer-in-the-summary"),
    ],
)
def test_all_four_blocks(text, expected):
    assert Format("caption").grade_one(text, make_sample(), None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 1.0),
        (" \n", 0.0),
        ("", 0.0),
        (THINK, 0.0),
        ("3</answer>", 0.0),
        ("<think>a</think>\n\n3", 1.0),
        ("<think>a</think>", 0.0),
        ("<think>3", 0.0),
        ("<think>a</think><think>b</think>3", 0.0),
    ],
)
def test_the_bare_answer_has_no_tag_but_those_of_thoughts_before_it(text, expected):
    assert Format("answer").grade_one(text, make_sample(), None) == expected


@pytest.mark.parametrize(
    ("style", "text"),
    [("caption", CAPTION), ("no_think", "<answer>3</answer>"), ("think_after", "<answer>3</answer><think>a</think>")],
)
def test_an_empty_block_of_thoughts_may_stand_before_other_blocks(style, text):
    for before, expected in (("<think>\n\n</think>\n\n", 1), ("<think>a</think>", 0), ("<think>", 0)):
        assert Format(style).grade_one(before + text, make_sample(), None) == expected
    assert Format("think").grade_one(f"<think></think>{THINK}", make_sample(), None) == 0


@pytest.mark.parametrize(("style", "text"), [("answer", "3"), ("think", THINK), ("caption", CAPTION)])
def test_the_form_is_the_one_the_sample_asks_for(style, text):
    reward = Format()
    scores = {other: reward.grade_one(text, make_sample(style=other), None) for other in ("answer", "think", "caption")}
    assert scores == {other: float(other == style) for other in scores}


@pytest.mark.parametrize("style", STYLES)
def test_what_supervised_training_imitates_has_the_form(style):
    cot = {"answer": None, "caption": CAPTION.partition("<answer>")[0]}.get(style, "a")
    sample = make_sample(Label("lily"), style, cot=cot)
    assert Format().grade_one(target_text(sample, None), sample, None) == 1


@pytest.mark.parametrize(
    "blank", ["\u200b", "\u2800", "\u3164", "\0", "\u00ad", "\u200d\ufe0f", " \ufeff\n", "\u115f", "\u034f", "\u1160"]
)
def test_a_block_that_shows_nothing_is_empty(blank):
    assert Format("think").grade_one(f"<think>{blank}</think><answer>3</answer>", make_sample(), None) == 0
    assert Format("think").grade_one(f"<think>a</think><answer>{blank}</answer>", make_sample(), None) == 0
    assert Format("answer").grade_one(blank, make_sample(), None) == 0
    assert Format("think").grade_one(f"<think>{blank}…</think><answer>🙂</answer>", make_sample(), None) == 1


def test_other_tags_may_stand_inside_a_block():
    assert Format("think").grade_one("<think>a <b>c</b> < d</think><answer>x > y</answer>", make_sample(), None) == 1


def test_a_form_that_there_is_not_is_refused_before_anything_counts_0():
    """In Python ``Format(0.5)`` looks like a weight."""
    with pytest.raises(ValueError, match="Expected `style` to be one of .*think.*, but got 0.5"):
        Format(0.5)

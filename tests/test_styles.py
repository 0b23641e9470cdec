from __future__ import annotations

import re

import pytest

from vrft_pl.answers import Label
from vrft_pl.prompts import question, target_text
from vrft_pl.rewards import Format
from vrft_pl.rewards.parsing import Unread, read_answer
from vrft_pl.styles import AnswerStyle
from vrft_pl.types import InputError, Sample

SKETCH = AnswerStyle("sketch", ("sketch", "answer"), "Sketch in <sketch> </sketch>, then answer with {form}.")
PLAN = AnswerStyle("plan", ("plan", "sketch", "answer"), "Plan, sketch, answer with {form}.")


def styled(style, cot="It is round."):
    return Sample("row 7", (), "Which?", Label("ball"), style=style, cot=cot)


def test_a_style_of_ones_own_is_asked_for_imitated_read_and_rewarded():
    sample = styled(SKETCH)
    target = target_text(sample, None)
    assert question(sample, "pixels") == "Which? Sketch in <sketch> </sketch>, then answer with a class name."
    assert target == "<sketch>It is round.</sketch><answer>ball</answer>"
    assert read_answer(target, SKETCH) == "ball"
    assert [Format().grade_one(text, sample, None) for text in (target, "<think>a</think><answer>ball</answer>")] == [
        1,
        0,
    ]
    assert Format(SKETCH).grade_one(target, styled("think"), None) == 1


def test_what_a_sketch_says_of_the_answer_never_counts():
    assert read_answer("<sketch><answer>cube</answer></sketch><answer>ball</answer>", SKETCH) == "ball"
    assert read_answer("<sketch><answer>ball</answer></sketch>", SKETCH) is Unread.NO_ANSWER


def test_a_style_of_several_blocks_takes_them_from_the_chain_of_thought():
    blocks = "<plan>Look.</plan><sketch>Round.</sketch>"
    assert target_text(styled(PLAN, blocks), None) == f"{blocks}<answer>ball</answer>"
    assert target_text(styled(PLAN, "It is round."), None) == "It is round.<answer>ball</answer>"
    gold = target_text(styled(PLAN, PLAN.placeholder), None)
    assert Format().grade_one(gold, styled(PLAN), None) == 1


@pytest.mark.parametrize(
    "cot",
    ["It is round.", "<think>It is round.</think>", "<think>It is round.</think><answer>cube</answer>"],
)
def test_thoughts_follow_the_answer_whatever_the_row_holds(cot):
    target = target_text(styled("think_after", cot), None)
    assert target == "<answer>ball</answer><think>It is round.</think>"
    assert Format().grade_one(target, styled("think_after"), None) == 1
    assert Format().grade_one(target, styled("think"), None) == 0


def test_a_turn_without_thoughts_needs_none_and_keeps_none():
    assert target_text(styled("no_think", None), None) == "<answer>ball</answer>"
    assert target_text(styled("no_think", "It is round."), None) == "<answer>ball</answer>"
    assert Format().grade_one("<think>a</think><answer>ball</answer>", styled("no_think"), None) == 0
    assert question(styled("no_think"), "pixels") == (
        "Which? Answer at once, without thoughts, with a class name inside <answer> </answer>."
    )


def test_a_missing_chain_of_thought_names_row_and_style():
    with pytest.raises(InputError, match="row 7: expected a chain of thought .* for the `sketch` style"):
        target_text(styled(SKETCH, None), None)


@pytest.mark.parametrize(
    ("tags", "instruction", "message"),
    [
        (("think", "answer", "check"), "Answer.", "the last or the first of `tags` to be `answer`, but got ['think', "),
        (("answer", "answer"), "Answer.", "the last or the first of `tags` to be `answer`, but got ['answer', "),
        ((), "Answer with {shape}.", "no field but {form}, but got 'Answer with {shape}.'"),
        ((), "Answer with {form.x}.", "no field but {form}, but got 'Answer with {form.x}.'"),
        ((), "Answer with {.", "no field but {form}, but got 'Answer with {.'"),
    ],
)
def test_a_style_that_cannot_be_asked_for_is_refused(tags, instruction, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        AnswerStyle("own", tags, instruction)

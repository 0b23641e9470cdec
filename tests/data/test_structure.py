from __future__ import annotations

import time

import pytest
from builders import grey_scene

from vrft_pl.answers import Choice, Expression, Label, Number
from vrft_pl.data import Record, Structure, StructureScenes
from vrft_pl.data.structure import written_options
from vrft_pl.metrics import Accuracy
from vrft_pl.prompts import answer_text
from vrft_pl.rewards import ChoiceMatch, MathMatch
from vrft_pl.types import InputError

LISTED = "How long is AB?\nA. 30 cm\nB. 35 cm\nC. 40 cm\nD. 45 cm"
TEXTS = ("30 cm", "35 cm", "40 cm", "45 cm")


def row(answer, problem="How long is AB?", options=()):
    return Record("rows.json, row 7", (grey_scene(),), problem, answer, options=options)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("B", "B", id="letter"),
        pytest.param("(C)", "C", id="brackets"),
        pytest.param("D.", "D", id="period"),
        pytest.param("(A).", "A", id="brackets-and-period"),
        pytest.param("B)", "B", id="one-bracket"),
        pytest.param(" <answer> B </answer> ", "B", id="tags"),
        pytest.param("<think>A or B?</think><answer>B</answer>", "B", id="thoughts"),
        pytest.param(Choice("C"), "C", id="typed"),
    ],
)
def test_a_letter_is_a_choice_where_the_question_lists_options(answer, expected):
    assert Structure().solution(row(answer, LISTED)) == Choice(expected, TEXTS)


def test_options_of_the_row_go_before_those_in_the_question():
    assert Structure().solution(row("B", LISTED, ("x", "y"))) == Choice("B", ("x", "y"))
    assert Structure().solution(row("B", options=("x", "y"))) == Choice("B", ("x", "y"))


@pytest.mark.parametrize(
    ("choices", "problem", "expected"),
    [
        pytest.param("auto", "Which point?", Expression("B"), id="auto-without-options"),
        pytest.param("auto", LISTED, Choice("B", TEXTS), id="auto-with-options"),
        pytest.param("always", "Which point?", Choice("B"), id="always-without-options"),
        pytest.param("always", LISTED, Choice("B", TEXTS), id="always-with-options"),
        pytest.param("never", LISTED, Expression("B"), id="never"),
    ],
)
def test_choices_says_which_letters_are_choices(choices, problem, expected):
    assert Structure(choices=choices).solution(row("B", problem)) == expected


@pytest.mark.parametrize("choices", ["auto", "always", "never"])
@pytest.mark.parametrize("answer", ["b", "AB", "I", "A or B", "x", "(AB)", "30 cm", "\\sqrt{3}"])
def test_what_is_no_letter_from_a_to_h_is_an_expression(answer, choices):
    assert Structure(choices=choices).solution(row(answer, LISTED)) == Expression(answer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("4", Number(4.0), id="whole"),
        pytest.param("-2.50", Number(-2.5), id="decimal"),
        pytest.param(7.5, Number(7.5), id="json"),
        pytest.param(Number(3.0, "cm"), Number(3.0, "cm"), id="typed"),
        pytest.param(Expression("x+1"), Expression("x+1"), id="typed-expression"),
        pytest.param("12 cm^2", Expression("12 cm^2"), id="unit"),
        pytest.param("50°", Expression("50°"), id="degrees"),
        pytest.param("$\\frac{1}{2}$", Expression("$\\frac{1}{2}$"), id="latex"),
        pytest.param("1_000", Expression("1_000"), id="underscore"),
        pytest.param("\u0663", Expression("\u0663"), id="other-digits"),
    ],
)
def test_other_answers_are_numbers_or_expressions(answer, expected):
    assert Structure().solution(row(answer)) == expected


@pytest.mark.parametrize(
    ("answer", "problem", "message"),
    [
        pytest.param("", LISTED, "a letter, a number or an expression, but got ''", id="empty"),
        pytest.param("<answer> </answer>", LISTED, "a letter, a number or an expression", id="empty-tags"),
        pytest.param(None, LISTED, "a letter, a number or an expression, but got None", id="none"),
        pytest.param(True, LISTED, "a letter, a number or an expression, but got True", id="boolean"),
        pytest.param(float("nan"), LISTED, "a letter, a number or an expression, but got nan", id="nan"),
        pytest.param(Number(float("inf")), LISTED, "a letter, a number or an expression", id="typed-infinite"),
        pytest.param(["A"], LISTED, r"a letter, a number or an expression, but got \['A'\]", id="list"),
        pytest.param(Label("dog"), LISTED, "a letter, a number or an expression, but got Label", id="other-type"),
        pytest.param(Expression(" "), LISTED, "a letter, a number or an expression", id="blank-expression"),
        pytest.param("E", LISTED, "the letter of one of the 4 options, but got 'E'", id="no-such-option"),
        pytest.param(Choice("Z"), LISTED, "the letter of one of the 4 options, but got 'Z'", id="typed-beyond"),
        pytest.param("1" * 1001, LISTED, "an answer of at most 1000 characters, but got 1001", id="long"),
    ],
)
def test_a_wrong_answer_is_named_with_its_row(answer, problem, message):
    with pytest.raises(InputError, match=f"rows.json, row 7: expected .*{message}"):
        Structure().solution(row(answer, problem))


def test_an_unknown_way_of_choosing_is_named():
    with pytest.raises(ValueError, match="Expected `choices` to be one of .*'auto'.* but got 'maybe'"):
        Structure(choices="maybe")


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        pytest.param(LISTED, TEXTS, id="lines"),
        pytest.param("What? A. 1 B. 2 C. 3", ("1", "2", "3"), id="one-line"),
        pytest.param("What?\n(A) 1\n(B) 2", ("1", "2"), id="brackets"),
        pytest.param("What? Choices: A: 1, B: 2, C: 3", ("1", "2", "3"), id="colons-and-commas"),
        pytest.param("What?\nA) 1\nB) 2", ("1", "2"), id="one-bracket"),
        pytest.param("A\u3001 1\nB\u3001 2", ("1", "2"), id="ideographic-comma"),
        pytest.param("What?\nA.1\nB.2", ("1", "2"), id="no-blank"),
        pytest.param("From A. to B. it is 3. How far?\nA. 3\nB. 4\nC. 5", ("3", "4", "5"), id="the-last-list"),
        pytest.param("What?\nA. 1\nB. 2\nD. 3", ("1", "2"), id="a-letter-is-left-out"),
        pytest.param("What?\nA. 1\nB. 2\nAnswer with the letter.", ("1", "2"), id="more-text"),
        pytest.param("\n".join(f"{c}. {c}{c}" for c in "ABCDEFGH"), tuple(c + c for c in "ABCDEFGH"), id="eight"),
        pytest.param("A. B. C.", ("", "", ""), id="without-texts"),
        pytest.param("How long is AB?", (), id="none"),
        pytest.param("Look at A. How far is it?", (), id="one-letter"),
        pytest.param("(B) 1 (C) 2", (), id="not-from-a"),
        pytest.param("", (), id="empty"),
    ],
)
def test_options_are_found_in_the_question(problem, expected):
    assert written_options(problem) == expected


def test_options_without_texts_still_limit_the_letter():
    assert Structure().solution(row("C", "Which? A. B. C.")) == Choice("C")
    with pytest.raises(InputError, match="one of the 3 options, but got 'D'"):
        Structure().solution(row("D", "Which? A. B. C."))


@pytest.mark.parametrize(
    "text", ["A. " * 30_000, "(" * 100_000, "A" * 100_000, "A. B. " * 15_000], ids=lambda text: text[:6]
)
def test_hostile_questions_are_read_in_no_time(text):
    start = time.process_time()
    written_options(text)
    assert time.process_time() - start < 1


def test_samples_are_tagged_by_the_kind_of_their_answer_once():
    source = StructureScenes(size=30)
    samples = Structure(val={"ood_x": source}).datasets("val")["ood_x"]
    for sample in map(samples.__getitem__, range(30)):
        kind = "choice" if isinstance(sample.solution, Choice) else "free"
        assert (sample.split, sample.domain, sample.tags) == ("ood_x", "ood", (kind,))
    tagged = Record("r", (grey_scene(),), "How many?", "4", tags=("free", "hard"))
    assert Structure().sample(tagged, "train").tags == ("free", "hard")


@pytest.mark.parametrize("domain", ["base", "shapes"])
def test_the_options_in_the_question_of_a_scene_are_those_of_its_row(domain):
    for record in StructureScenes(domain, size=40):
        assert written_options(record.problem) == record.options


@pytest.mark.parametrize("style", ["answer", "think"])
def test_gold_answers_of_scenes_earn_everything_and_are_reported_apart(style):
    task = Structure(val={"id": StructureScenes(size=40)}, style=style)
    samples = [task.datasets("val")["id"][i] for i in range(40)]
    judges = {Choice: ChoiceMatch(), Expression: MathMatch(), Number: MathMatch()}
    for sample in samples:
        text = answer_text(sample, None)
        completion = text if style == "answer" else f"<think>{sample.cot}</think><answer>{text}</answer>"
        assert judges[type(sample.solution)].grade_one(completion, sample, None) == 1
    assert {Accuracy(ChoiceMatch()).judges(sample) for sample in samples} == {True, False}

from __future__ import annotations

import math

import pytest
from builders import make_completions, make_sample
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.answers import Choice, Label, Number
from vrft_pl.prompts import target_text
from vrft_pl.rewards import Unread
from vrft_pl.rewards.answer import ChoiceMatch, GradedNumber, LabelMatch, NumberMatch
from vrft_pl.rewards.parsing.number import NUMBER_UNITS

FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(10**6), 10**6)
GRADED = GradedNumber()
COTS = {"answer": None, "think": "3 A lily", "caption": "<summary>3</summary><caption>A</caption><think>lily</think>"}


def graded(reward, solution, answer):
    return reward.grade_one(f"<think>{solution}</think><answer>{answer}</answer>", make_sample(solution), None)


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        pytest.param("3", 3, 1.0, id="equal"),
        pytest.param("3.0", 3, 1.0, id="decimal"),
        pytest.param("4", 3, 0.0, id="wrong"),
        pytest.param("20", 21, 0.0, id="close"),
        pytest.param("0", 0, 1.0, id="zero"),
        pytest.param("-0", 0, 1.0, id="minus-zero"),
        pytest.param("1", 0, 0.0, id="wrong-for-zero"),
        pytest.param("0.3333333333333", 1 / 3, 1.0, id="rounded"),
        pytest.param("0.333", 1 / 3, 0.0, id="rounded-too-far"),
        pytest.param("1,234", 1234, 1.0, id="thousands"),
        pytest.param("three", 3, Unread.MALFORMED, id="word"),
        pytest.param("not 3", 3, Unread.MALFORMED, id="text-before"),
        pytest.param("7 and then 3", 3, Unread.MALFORMED, id="two-numbers"),
        pytest.param("3 apples", 3, Unread.MALFORMED, id="text-after"),
        pytest.param("nan", 3, Unread.NOT_FINITE, id="nan"),
        pytest.param(" ", 3, Unread.EMPTY, id="empty"),
    ],
)
def test_an_answer_counts_if_it_is_the_number(answer, truth, expected):
    assert graded(NumberMatch(), Number(truth), answer) == expected


@pytest.mark.parametrize("reward", [NumberMatch(), GradedNumber()], ids=str)
@pytest.mark.parametrize(
    ("answer", "unit", "expected"),
    [
        pytest.param("50", "cm", 1.0, id="left-out"),
        pytest.param("50 cm", "cm", 1.0, id="same"),
        pytest.param("50.0 Centimeters", "cm", 1.0, id="other-spelling"),
        pytest.param("50 cm", "centimetres", 1.0, id="truth-in-another-spelling"),
        pytest.param("50 mm", "cm", 0.0, id="another"),
        pytest.param("0.5 m", "cm", 0.0, id="not-converted"),
        pytest.param("50 cm^2", "cm", 0.0, id="square"),
        pytest.param("50%", "cm", 0.0, id="percent-of-centimetres"),
        pytest.param("50%", "%", 1.0, id="percent"),
        pytest.param("50 deg", None, 1.0, id="none-asked-for"),
        pytest.param("50 square units", None, 1.0, id="any-known"),
        pytest.param("50%", None, 0.0, id="percent-where-none-is-asked-for"),
        pytest.param("50 deg", "apples", 0.0, id="truth-in-an-unknown-unit"),
        pytest.param("50 Apples.", "apples", 1.0, id="unknown-as-it-is-spelled"),
        pytest.param("50 kilos", "kg", 1.0, id="mass"),
        pytest.param("50 g", "kg", 0.0, id="another-mass"),
        pytest.param("50 apples", None, Unread.MALFORMED, id="unknown"),
    ],
)
def test_a_unit_may_be_left_out_but_not_be_wrong(reward, answer, unit, expected):
    assert graded(reward, Number(50, unit), answer) == expected


@pytest.mark.parametrize(("answer", "unit", "expected"), [("3个", None, 1.0), ("3 マ", None, None), ("3个", "cm", 0.0)])
def test_a_word_that_counts_things_is_a_unit(answer, unit, expected):
    assert graded(NumberMatch(), Number(3, unit), answer) == (Unread.MALFORMED if expected is None else expected)


NUMBER, LETTER, NAME = (
    NumberMatch(prose="lenient", words=True),
    ChoiceMatch(prose="lenient"),
    LabelMatch(prose="lenient"),
)


@pytest.mark.parametrize(
    ("reward", "truth", "answer", "expected"),
    [
        *((NUMBER, Number(3), answer, 1.0) for answer in (
            "The answer is 3.", "3 objects", "Answer: 3", "x = 3", "There are 3 red cubes in the picture.",
            "three dogs", "3 moths", "3 short paths",
            "So, the final answer is: $3$", "The number of red cubes is 3", "I count 3", "**3**", "3")),
        *((NUMBER, Number(3), answer, 0.0) for answer in ("The answer is 4, not 3", "3 or 4", "at least 3", "3 dozen",
            "The answer is not 3", "not 3", "4 objects", "3 out of 4", "7 and then 3", "3 more than 4", "3 is wrong",
            "The answer is 3 or 4", "3 objects, 4 cubes", "3 hundred", "3 squared", "3 tens",
            "There are 3 objects missing.", "3 score", "3 cubed", "3 hundreds", "3 pairs of cubes", "3 tenths",
            "There are 3, I mean 4", "x = y = 3")),
        (NUMBER, Number(3, "cm"), "3 objects", 0.0),
        (LETTER, Choice("B"), "The correct answer is (B).", 1.0),
        *((LETTER, options, answer, 1.0) for options in (Choice("B"), Choice("B", ("30 cm", "35 cm"))) for answer in (
            "The answer is option B", "The correct option is B", "The correct choice is (B).", "The best answer is B",
            "My choice is B", "I choose B", "Option B is correct.", "B is the correct answer", "option b is right",
            "B because it is longer", "The answer is B because it is longer.", "**B** since it is longer")),
        *((LETTER, options, answer, 0.0) for options in (Choice("B"), Choice("B", ("30 cm", "35 cm"))) for answer in (
            "The correct option is not B", "The correct option is A or B", "B is not correct", "B is incorrect",
            "A and B is correct", "B is correct, or A", "B because A is wrong", "B because it is not right",
            "B because none of the options fits", "B because\nA", "A because it is longer", "A is correct",
            "not B because it is longer", "A, B because both are", "B is wrong because it is longer",
            "B is correct because A is longer", "Option A because B is longer")),
        (LETTER, Choice("B", ("30 cm", "35 cm")), "B because it is 30 cm", 0.0),
        (LETTER, Choice("B", ("30 cm", "35 cm")), "B because it is 35 cm", 1.0),
        (LETTER, Choice("B"), "The answer is not B", 0.0),
        (LETTER, Choice("B"), "The answer is A or B", 0.0),
        *((LETTER, Choice("B"), answer, 0.0) for answer in ("A = B", "The answer is A = B", "a=b", "B = A")),
        (NAME, Label("beagle"), "It is a beagle.", 1.0),
        (NAME, Label("beagle"), "The answer is Beagle", 1.0),
        (NAME, Label("beagle"), "It is a beagle or a pug", 0.0),
        (NAME, Label("beagle"), "It is not a beagle", 0.0),
    ],
)  # fmt: skip
def test_a_short_sentence_is_read_where_that_is_asked_for(reward, truth, answer, expected):
    got = graded(reward, truth, answer)
    assert (0.0 if isinstance(got, Unread) else got) == expected
    strict = graded(type(reward)(), truth, answer)
    assert strict != 1 or answer in ("3", "**3**")


def test_prose_is_strict_or_lenient():
    with pytest.raises(ValueError, match="Expected `prose` to be `strict` or `lenient`, but got 'loose'"):
        NumberMatch(prose="loose")


def test_several_lines_are_read():
    assert NumberMatch().grade_one("<think>a</think>\n<answer>\n3\n</answer>\n", make_sample(Number(3)), None) == 1


def test_truth_in_the_thoughts_does_not_save_a_wrong_answer():
    assert NumberMatch().grade_one("<think>3</think><answer>4</answer> 3", make_sample(Number(3)), None) == 0


def test_a_bare_answer_is_read_in_the_bare_style():
    assert NumberMatch().grade_one("3", make_sample(Number(3), "answer"), None) == 1
    assert NumberMatch().grade_one("3", make_sample(Number(3), "think"), None) == Unread.NO_ANSWER


@pytest.mark.parametrize("reward", [NumberMatch, GradedNumber])
def test_words_are_read_if_asked_for(reward):
    assert graded(reward(words=True), Number(3), "Three") == 1
    assert graded(reward(), Number(3), "Three") == Unread.MALFORMED


@pytest.mark.parametrize(
    ("value", "truth", "expected"),
    [
        pytest.param(0.95, 1.5, 0.0, id="far"),
        pytest.param(100.5, 100.5, 1.0, id="equal"),
        pytest.param(104.9, 100.5, 1.0, id="inside-the-tolerance"),
        pytest.param(100.5 * 1.125, 100.5, 0.5, id="half-way"),
        pytest.param(100.5 * 0.875, 100.5, 0.5, id="half-way-below"),
        pytest.param(-100.5 * 1.1, -100.5, 0.75, id="a-third-of-the-way-below-zero"),
        pytest.param(100.5 * 1.2001, 100.5, 0.0, id="at-the-end"),
        pytest.param(-100.5, 100.5, 0.0, id="other-sign"),
        pytest.param(21, 20, 0.853553, id="a-count-that-is-off-by-one"),
        pytest.param(22, 20, 0.5, id="a-count-half-way"),
        pytest.param(24, 20, 0.0, id="a-count-at-the-end"),
        pytest.param(0, 0, 1.0, id="zero"),
        pytest.param(1e-10, 0, 1.0, id="almost-zero"),
        pytest.param(0.01, 0, 0.0, id="near-zero"),
        pytest.param(1e308, -1e308, 0.0, id="difference-that-overflows"),
        pytest.param(1e308, 1e-300, 0.0, id="error-that-overflows"),
        pytest.param(1.0, 5e-324, 0.0, id="smallest-truth"),
    ],
)
def test_credit_falls_with_the_relative_error(value, truth, expected):
    assert GRADED.credit(value, truth) == pytest.approx(expected, abs=1e-6)


def test_graded_credit_is_that_of_reason_rft_between_its_limits():
    for percent in range(6, 20):
        error = percent / 100
        expected = 0.5 * (1 + math.cos(math.pi * (error - 0.05) / 0.15))
        assert GRADED.credit(1.5 * (1 + error), 1.5) == pytest.approx(expected)


def test_a_wrong_count_never_earns_full_credit():
    """The published reward gives 1 for 21 instead of 20."""
    for truth in range(1, 200):
        scores = [GRADED.credit(value, truth) for value in range(400)]
        assert [value for value, score in enumerate(scores) if score == 1] == [truth]


@pytest.mark.parametrize("answer", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("truth", [0, 3, 2.5])
def test_no_number_earns_nothing(answer, truth):
    assert graded(GradedNumber(), Number(truth), answer) == Unread.NOT_FINITE
    grades = GradedNumber().grade(make_completions([f"<answer>{answer}</answer>"]), [make_sample(Number(truth))])
    assert grades.scores.tolist() == [0]


@given(FINITE | WHOLE, FINITE | WHOLE, FINITE | WHOLE)
def test_credit_is_in_range_and_never_grows_with_the_error(truth, a, b):
    near, far = sorted((a, b), key=lambda value: abs(value - truth))
    credits = [GRADED.credit(value, truth) for value in (near, far)]
    assert 1 >= credits[0] >= credits[1] >= 0


@given(st.floats(0.1, 1e6), st.floats(0, 0.4), st.floats(0, 0.4))
def test_credit_is_monotone_near_the_truth(truth, a, b):
    credits = [GRADED.credit(truth * (1 + error), truth) for error in sorted((a, b))]
    assert credits[0] >= credits[1] - 1e-9


@pytest.mark.parametrize(
    ("tolerance", "zero_at"), [(-0.1, 0.2), (0.2, 0.2), (0.3, 0.2), (0.0, math.inf), (math.nan, 0.2), (0.1, math.nan)]
)
def test_the_limits_of_the_cosine_are_in_order(tolerance, zero_at):
    message = f"0 <= `tolerance` < `zero_at`, but got `tolerance` {tolerance} and `zero_at` {zero_at}."
    with pytest.raises(ValueError, match=message):
        GradedNumber(tolerance, zero_at)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("B", 1.0),
        ("b.", 1.0),
        ("(B) 35 cm", 1.0),
        ("A", 0.0),
        ("A. 35 cm", 0.0),
        ("A, B, C, D", Unread.AMBIGUOUS),
        ("A or B", Unread.AMBIGUOUS),
        ("not B", Unread.MALFORMED),
        ("All of the above", Unread.MALFORMED),
        ("35 cm", Unread.MALFORMED),
        (" ", Unread.EMPTY),
    ],
)
def test_a_choice_is_one_letter(answer, expected):
    assert graded(ChoiceMatch(), Choice("B"), answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"), [("35 cm", 1.0), ("B. 35 cm", 1.0), ("30 cm", 0.0), ("B. 30 cm", Unread.AMBIGUOUS)]
)
def test_the_text_of_an_option_counts_where_it_is_known(answer, expected):
    assert graded(ChoiceMatch(), Choice("B", ("30 cm", "35 cm")), answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Fire-Lily.", 1.0),
        ("flame lily", 1.0),
        ("gloriosa", 1.0),
        ("lily", 0.0),
        ("fire lily 2012", 0.0),
        ("a fire lily, I think", 0.0),
        ("fire lily, flame lily", 0.0),
        ("tiger lily", 0.0),
        ("...", Unread.EMPTY),
        ("", Unread.EMPTY),
        ("lily " * 100, Unread.TOO_LONG),
    ],
)
def test_a_label_is_the_whole_name_or_an_alias(answer, expected):
    assert graded(LabelMatch(), Label("fire lily", ("Flame Lily", "gloriosa")), answer) == expected


@pytest.mark.parametrize("reward", [NumberMatch, GradedNumber])
@pytest.mark.parametrize("style", COTS)
@given(value=FINITE | WHOLE, unit=st.none() | st.sampled_from([*sorted(NUMBER_UNITS), "furlong", "Light years"]))
def test_the_right_number_scores_1_as_supervised_training_writes_it(reward, style, value, unit):
    sample = make_sample(Number(value, unit), style, cot=COTS[style])
    assert reward().grade_one(target_text(sample, None), sample, None) == 1


@pytest.mark.parametrize("style", COTS)
@given(letter=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), options=st.lists(st.text(max_size=6), max_size=26))
def test_the_right_letter_scores_1_as_supervised_training_writes_it(style, letter, options):
    sample = make_sample(Choice(letter, tuple(options)), style, cot=COTS[style])
    assert ChoiceMatch().grade_one(target_text(sample, None), sample, None) == 1


@pytest.mark.parametrize("style", COTS)
@given(name=st.text("abcXYZ019 _-.'/()&é", min_size=1, max_size=30).filter(lambda name: any(map(str.isalnum, name))))
def test_the_right_name_scores_1_as_supervised_training_writes_it(style, name):
    sample = make_sample(Label(name), style, cot=COTS[style])
    assert LabelMatch().grade_one(target_text(sample, None), sample, None) == 1

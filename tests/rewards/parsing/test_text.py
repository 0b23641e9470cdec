from __future__ import annotations

import re
import string

import pytest
from builders import make_sample
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.answers import Expression
from vrft_pl.prompts import answer_text
from vrft_pl.rewards.parsing import Unread, parse_choice, parse_expression, parse_label

LENGTHS = ("30 cm", "35 cm", "40 cm")


@pytest.mark.parametrize(
    "text",
    ["B", "b", "(B)", "(b)", "b)", "B.", "B:", "(B).", "[B]", "Option B", "Answer: (B)", "choice b.", "$\\boxed{B}$.",
     "**B**", "`B`", '"B"', "\\text{B}", "```\nB\n```", "```B```", "B. 35 cm", "(B) 35 cm", "B) 35 cm", "b: 35 m",
     "Option B: the red one", "B.35", "**B**. 35 cm", "**(B)**", "**B.** 35 cm", "\\textbf{B}", "\\mathrm{B}",
     "\\mathbf{B}",
     "Ｂ", "（B）", "B。", "【Ｂ】", "\\boxed{\\textbf{(B) } 35 \\text{ cm}}",
     "\\boxed{B}. 35 cm", "B, 35 cm", "B - 35 cm", "B \u2014 35 cm", "B. A red cube"],
)  # fmt: skip
def test_a_letter_is_read_with_or_without_the_text_of_its_option(text):
    assert parse_choice(text) == "B"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", Unread.EMPTY, id="empty"),
        pytest.param("``` ```", Unread.EMPTY, id="empty-fence"),
        pytest.param("A" * 5000, Unread.TOO_LONG, id="too-long"),
        pytest.param("A B C D", Unread.AMBIGUOUS, id="letters"),
        pytest.param("A, B", Unread.AMBIGUOUS, id="comma"),
        pytest.param("A,B,C,D", Unread.AMBIGUOUS, id="commas"),
        pytest.param("A - B", Unread.AMBIGUOUS, id="dash"),
        pytest.param("B. A or so", Unread.AMBIGUOUS, id="no-article"),
        pytest.param("A/B", Unread.AMBIGUOUS, id="slash"),
        pytest.param("A or B", Unread.AMBIGUOUS, id="or"),
        pytest.param("A and B", Unread.AMBIGUOUS, id="and"),
        pytest.param("A\nB", Unread.AMBIGUOUS, id="lines"),
        pytest.param("A. B. C.", Unread.AMBIGUOUS, id="full-stops"),
        pytest.param("A.B", Unread.AMBIGUOUS, id="no-blank"),
        pytest.param("(A) (B)", Unread.AMBIGUOUS, id="brackets"),
        pytest.param("a) b) c)", Unread.AMBIGUOUS, id="small-letters"),
        pytest.param("a. or b", Unread.AMBIGUOUS, id="small-or"),
        pytest.param("A. Option b", Unread.AMBIGUOUS, id="option-and-option"),
        pytest.param("A: 30 cm, B: 35 cm", Unread.AMBIGUOUS, id="all-options"),
        pytest.param("A. 30 cm\n35 cm", Unread.AMBIGUOUS, id="two-texts"),
        pytest.param("a: 30 cm, b: 35 cm", Unread.AMBIGUOUS, id="all-options-small"),
        pytest.param("A. 30 cm. No, B", Unread.AMBIGUOUS, id="second-thoughts"),
        pytest.param("A cat", Unread.AMBIGUOUS, id="article"),
        pytest.param("A is right", Unread.AMBIGUOUS, id="sentence"),
        pytest.param("B 35 cm", Unread.AMBIGUOUS, id="nothing-between-letter-and-text"),
        pytest.param("A\u200bB", Unread.AMBIGUOUS, id="zero-width-blank"),
        pytest.param("A²", Unread.AMBIGUOUS, id="superscript"),
        pytest.param("B. none of the above", Unread.AMBIGUOUS, id="none-of-the-others"),
        pytest.param("B. All of these options", Unread.AMBIGUOUS, id="all-of-the-others"),
        pytest.param("B is not right", Unread.AMBIGUOUS, id="denied"),
        pytest.param("B: that is wrong", Unread.AMBIGUOUS, id="called-wrong"),
        pytest.param("ABCD", Unread.MALFORMED, id="word-of-letters"),
        pytest.param("**A** **B**", Unread.AMBIGUOUS, id="two-bold"),
        pytest.param("not A", Unread.MALFORMED, id="not"),
        pytest.param("All of the above", Unread.MALFORMED, id="all"),
        pytest.param("None of the above", Unread.MALFORMED, id="none"),
        pytest.param("The answer is A", Unread.MALFORMED, id="sentence-before"),
        pytest.param("Option", Unread.MALFORMED, id="no-letter"),
        pytest.param("['A', 'B']", Unread.MALFORMED, id="list"),
        pytest.param("[A, B]", Unread.MALFORMED, id="list-of-words"),
        pytest.param("(A", Unread.MALFORMED, id="half-a-bracket"),
        pytest.param("\u212a", Unread.MALFORMED, id="kelvin-sign"),
        pytest.param("\u017f", Unread.MALFORMED, id="long-s"),
        pytest.param("А", Unread.MALFORMED, id="cyrillic"),
    ],
)
def test_anything_else_is_no_letter(text, reason):
    assert parse_choice(text) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", "B"),
        ("35 cm", "B"),
        ("35 CM.", "B"),
        ("B. 35 cm", "B"),
        ("B 35 cm", "B"),
        ("(B) 35 cm", "B"),
        ("B. 30 cm", Unread.AMBIGUOUS),
        ("B. 35", Unread.AMBIGUOUS),
        ("D. 35 cm", Unread.AMBIGUOUS),
        ("30 cm, 35 cm", Unread.MALFORMED),
        ("50 cm", Unread.MALFORMED),
        ("D", "D"),
    ],
)
def test_known_texts_name_their_option_and_must_fit_the_letter(text, expected):
    assert parse_choice(text, LENGTHS) == expected


def test_a_letter_alone_is_that_letter_whatever_the_texts_say():
    assert [parse_choice(text, ("B", "A cat", "A dog")) for text in ("A", "(A)", "B.", "a cat")] == ["A", "A", "B", "B"]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (r"A. $\sqrt{3}$", (r"\sqrt{3}", "14"), "A"),
        ("A. 12", ("$12$", "$14$"), "A"),
        ("$12$", ("$12$", "$14$"), "A"),
        ("B. $35$ cm", LENGTHS, "B"),
        (r"\(35\) cm", LENGTHS, "B"),
        ("-5", ("-5", "5"), "A"),
        ("\u22125.", ("-5", "5"), "A"),
        ("5", ("-5", "5"), "B"),
        ("A. -5", ("-5", "5"), "A"),
        ("A. 5", ("-5", "5"), Unread.AMBIGUOUS),
        ("5!", ("5", "5!"), "B"),
        ("B. 5", ("5", "5!"), Unread.AMBIGUOUS),
        ("[1, 2]", ("(1,2)", "[1,2]"), "B"),
        ("B. (1, 2)", ("(1,2)", "[1,2]"), Unread.AMBIGUOUS),
        ("A. >", ("<", ">"), Unread.AMBIGUOUS),
        ("The red-cube.", ("red cube", "blue cube"), "A"),
    ],
)
def test_texts_are_told_apart_by_signs_and_brackets_but_not_by_dollars(text, options, expected):
    assert parse_choice(text, options) == expected


def test_a_text_that_two_options_share_names_neither():
    assert parse_choice("red", ("red", "Red", "blue")) == Unread.AMBIGUOUS


def test_an_option_without_text_is_never_named():
    assert parse_choice("?!", ("", "x")) == Unread.MALFORMED


@given(st.text(alphabet="ABab .,:()[]\n/&-orand1$", max_size=20))
def test_no_second_letter_stands_beside_the_one_that_is_read(text):
    letter = parse_choice(text)
    text = re.sub("A(?= [a-z]{2})", "", text)  # an article
    others = {c for c in string.ascii_uppercase if c != letter}
    assert isinstance(letter, Unread) or not others & set("".join(c if c.isalnum() else " " for c in text).split())


@pytest.mark.parametrize(
    "text",
    ["Fire-Lily", "fire_lily", " FIRE  LILY ", "fire lily.", "The fire lily", "a fire lily!", "**Fire lily**",
     '"fire lily"', "(fire lily)", "fire\u2010lily", "ｆｉｒｅ lily", "the_fire_lily", "```\nfire lily\n```"],
)  # fmt: skip
def test_spellings_of_a_name_are_one_label(text):
    assert parse_label(text) == "fire lily"


@pytest.mark.parametrize(
    "text", ["lily", "fire lily, tiger lily", "fire lily tiger lily", "firelily", "no fire lily", "fire\x00lily"]
)
def test_other_text_is_another_label(text):
    assert parse_label(text) not in ("fire lily", Unread.EMPTY)


@pytest.mark.parametrize(
    ("text", "reason"), [("", Unread.EMPTY), ("...", Unread.EMPTY), ("**", Unread.EMPTY), ("a" * 300, Unread.TOO_LONG)]
)
def test_a_label_has_some_letters_and_not_too_many(text, reason):
    assert parse_label(text) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$\\frac{1}{2}$", "\\frac{1}{2}"),
        ("\\boxed{x + 1}", "x + 1"),
        ("6\\sqrt{3} \\text{ cm}", "6\\sqrt{3} \\text{ cm}"),
        ("", Unread.EMPTY),
        ("$$ $$", Unread.EMPTY),
        ("9" * 5000, Unread.TOO_LONG),
    ],
)
def test_an_expression_is_what_models_put_nothing_around(text, expected):
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    "text", ["\\frac{1}{2}", "6\\sqrt{3}", "x^2 + 1", "50^\\circ", "\\boxed{1} + \\boxed{2}", "f'(x)"]
)
def test_an_expression_is_read_back_as_supervised_training_writes_it(text):
    assert parse_expression(answer_text(make_sample(Expression(text)), None)) == text


@pytest.mark.parametrize("answer", ["-5", ".5", "(5", "A. -5"])
def test_a_sign_is_never_dropped_to_find_an_option(answer):
    assert parse_choice(answer, ("5", "7")) in (Unread.MALFORMED, Unread.AMBIGUOUS)
    assert parse_choice("5", ("5", "7")) == "A"

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.rewards.parsing import Quantity, Unread, parse_number
from vrft_pl.rewards.parsing.number import NUMBER_UNITS, UNITS, read_unit, units_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("3", 3.0, id="whole"),
        pytest.param("3.", 3.0, id="full-stop"),
        pytest.param(" +3.50 ", 3.5, id="sign-and-blanks"),
        pytest.param("-2e1", -20.0, id="exponent"),
        pytest.param(".5", 0.5, id="no-leading-zero"),
        pytest.param("-0", 0.0, id="minus-zero"),
        pytest.param("\u22123", -3.0, id="typographic-minus"),
        pytest.param("1,234,567.5", 1234567.5, id="thousands"),
        pytest.param("1{,}234", 1234.0, id="thousands-in-latex"),
        pytest.param("$\\boxed{3}$.", 3.0, id="boxed"),
        pytest.param("```3```", 3.0, id="fence"),
        pytest.param("```text\n3\n```", 3.0, id="fence-with-a-language"),
        pytest.param("**3**", 3.0, id="bold"),
        pytest.param('"3"', 3.0, id="quotes"),
        pytest.param("", Unread.EMPTY, id="empty"),
        pytest.param("``` ```", Unread.EMPTY, id="empty-fence"),
        pytest.param("12,34", Unread.MALFORMED, id="comma-elsewhere"),
        pytest.param("1,2345", Unread.MALFORMED, id="four-digits-after-the-comma"),
        pytest.param("0,123", Unread.MALFORMED, id="decimal-comma"),
        pytest.param("1,000e3", Unread.MALFORMED, id="thousands-and-exponent"),
        pytest.param("1_000", Unread.MALFORMED, id="underscore"),
        pytest.param("not 3", Unread.MALFORMED, id="text-before"),
        pytest.param("3 apples", Unread.MALFORMED, id="text-after"),
        pytest.param("7 and then 3", Unread.MALFORMED, id="two-numbers"),
        pytest.param("$7$ or $3$", Unread.MALFORMED, id="two-wrapped-numbers"),
        pytest.param("$3", Unread.MALFORMED, id="half-wrapped"),
        pytest.param("2+1", Unread.MALFORMED, id="expression"),
        pytest.param("0x10", Unread.MALFORMED, id="hexadecimal"),
        pytest.param("True", Unread.MALFORMED, id="boolean"),
        pytest.param("+-3", Unread.MALFORMED, id="two-signs"),
        pytest.param("٣", 3.0, id="arabic-digit"),
        pytest.param("-۱۲٫۵", -12.5, id="persian-digits-and-point"),
        pytest.param("१٬२३४", 1234.0, id="devanagari-digits-and-thousands"),
        pytest.param("1٣", Unread.MALFORMED, id="digits-of-two-scripts"),
        pytest.param("٣३", Unread.MALFORMED, id="digits-of-two-other-scripts"),
        pytest.param("3٫5", Unread.MALFORMED, id="arabic-point-between-other-digits"),
        pytest.param("1 234", 1234.0, id="thousands-by-blanks"),
        pytest.param("1\u202f234\u202f567.5", 1234567.5, id="thousands-by-thin-blanks"),
        pytest.param("1\\,234", 1234.0, id="thousands-by-blanks-of-latex"),
        pytest.param("1 234,567", Unread.MALFORMED, id="thousands-by-two-marks"),
        pytest.param("1  234", Unread.MALFORMED, id="two-blanks"),
        pytest.param("1 23", Unread.MALFORMED, id="two-digits-behind-a-blank"),
        pytest.param("0 234", Unread.MALFORMED, id="nothing-has-no-thousands"),
        pytest.param("1234 567", Unread.MALFORMED, id="four-digits-before-a-blank"),
        pytest.param("(3)", 3.0, id="brackets"),
        pytest.param("[-3.5]", -3.5, id="square-brackets"),
        pytest.param("(3]", Unread.MALFORMED, id="brackets-that-do-not-match"),
        pytest.param("(1,234)", Unread.MALFORMED, id="a-point"),
        pytest.param("(3) cm", Unread.MALFORMED, id="a-unit-behind-brackets"),
        pytest.param("((3))", Unread.MALFORMED, id="two-brackets"),
        pytest.param("３", 3.0, id="full-width-digit"),
        pytest.param("－１，２３４．５。", -1234.5, id="full-width-marks"),
        pytest.param("²", Unread.MALFORMED, id="superscript"),
        pytest.param("3\u200f", Unread.MALFORMED, id="right-to-left-mark"),
        pytest.param("3\x00", Unread.MALFORMED, id="nul"),
        pytest.param("three", Unread.MALFORMED, id="word"),
        pytest.param("nan", Unread.NOT_FINITE, id="nan"),
        pytest.param("-Infinity", Unread.NOT_FINITE, id="infinity"),
        pytest.param("1e999", Unread.NOT_FINITE, id="overflow"),
        pytest.param("1" * 5000, Unread.TOO_LONG, id="too-long"),
    ],
)
def test_a_number_is_the_whole_answer(text, expected):
    assert parse_number(text) == (expected if isinstance(expected, Unread) else Quantity(expected))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("50 cm", "cm"),
        ("50cm.", "cm"),
        ("50 Degrees", "degree"),
        ("50°", "degree"),
        ("50^\\circ", "degree"),
        ("$50^{\\circ}$", "degree"),
        ("\\boxed{50}^\\circ", "degree"),
        ("$50$ degrees", "degree"),
        ("\\(50\\) km", "km"),
        ("**50** ft", "foot"),
        ("50 \\text{ cm}^2", "cm^2"),
        ("50\\,\\mathrm{cm}^{2}", "cm^2"),
        ("50 square feet", "foot^2"),
        ("50 sq. in.", "inch^2"),
        ("50 m2", "m^2"),
        ("50 cubic units", "unit^3"),
        ("50\\%", "%"),
        ("50 percent", "%"),
    ],
)
def test_a_known_unit_may_follow(text, unit):
    assert parse_number(text) == Quantity(50.0, unit)


@pytest.mark.parametrize("text", ["3 in 2", "3 m 5 cm", "3 m/s", "3 cm or so", "3 °C", "3 x", "3\\text{cm", "3 e5"])
def test_anything_else_after_a_number_is_no_unit(text):
    assert parse_number(text) == Unread.MALFORMED


def test_every_unit_is_one_of_its_own_spellings():
    assert {read_unit(unit) for unit in UNITS.values()} == set(UNITS.values())
    assert {read_unit(unit, NUMBER_UNITS) for unit in NUMBER_UNITS.values()} == set(NUMBER_UNITS.values())
    assert read_unit(" ") is None


def test_units_that_could_be_variables_are_read_where_they_are_asked_for():
    for text, unit in (
        ("3 kg", "kg"),
        ("3 g", "g"),
        ("3 S", "second"),
        ("3 min.", "minute"),
        ("3 L", "liter"),
        ("3 km/h", "km/h"),
        ("3 m", "m"),
        ("3 furlong", "furlong"),
        ("3 FURLONG.", "furlong"),
    ):
        assert parse_number(text, units=units_for("furlong")) == Quantity(3.0, unit)
    assert parse_number("3 furlong", units=units_for(None)) == Unread.MALFORMED
    assert parse_number("3 h") == Unread.MALFORMED
    assert {unit: NUMBER_UNITS[unit] for unit in UNITS} == UNITS


@pytest.mark.parametrize(
    ("text", "expected"), [("zero", 0), ("Three", 3), ("TEN.", 10), ("eleven", 11), ("twenty", 20), ("3", 3)]
)
def test_words_count_if_asked_for(text, expected):
    assert parse_number(text, words=True) == Quantity(expected)


@pytest.mark.parametrize("text", ["twenty-one", "three four", "no three", "three apples"])
def test_words_are_the_whole_answer(text):
    assert parse_number(text, words=True) == Unread.MALFORMED


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_that_python_writes_is_read_back(value):
    assert parse_number(repr(value)) == Quantity(value)


@given(st.integers(-(10**15), 10**15))
def test_any_whole_number_is_read_back_with_thousands_separators(value):
    assert parse_number(f"{value:,}") == Quantity(value)


@given(st.text(alphabet="0123456789.,-+eE[]() \n<>/aNcm$\\{}°", max_size=60))
def test_whatever_is_read_is_finite(text):
    number = parse_number(text)
    assert isinstance(number, Unread) or math.isfinite(number.value)

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.rewards.parsing import Unread, read_values
from vrft_pl.rewards.parsing.notation import Values, Word, read_json, read_tokens

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | FINITE | st.text(max_size=6),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=4), children, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([json.dumps, repr, lambda value: json.dumps(value, indent=2, ensure_ascii=False)]))
def test_what_json_and_python_write_is_read_back(value, write):
    assert read_values(write(value)) == Values([value], True)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("1, -2.5 3e1;.5", [1.0, -2.5, 30.0, 0.5], id="numbers"),
        pytest.param("[1, 2,] (3,) []", [[1.0, 2.0], [3.0], []], id="lists-and-tuples"),
        pytest.param("[True, false, None, null]", [[True, False, None, None]], id="constants"),
        pytest.param("{'a': 1, \"b\": [2], c: d e,}", [{"a": 1.0, "b": [2.0], "c": "d e"}], id="dictionary"),
        pytest.param("{'a': 1, 'A': 2, 'a': 3}", [{"a": 3.0, "A": 2.0}], id="key-twice"),
        pytest.param("the dog's box: [1]", ["the dog's box", [1.0]], id="words-and-a-colon"),
        pytest.param("{'a': 'dog's bone', 'b': 1}", [{"a": "dog's bone", "b": 1.0}], id="apostrophe"),
        pytest.param("1px 2nd --inf", ["1px 2nd --inf"], id="words-with-digits"),
        pytest.param(r"""'a\'b' "\u00e9\n\x41\ud83d\ude00\q\Uffffffff" """, ["a'b", "é\nA😀q"], id="escapes"),
        pytest.param("'a''b'", ["a", "b"], id="strings-beside-each-other"),
    ],
)
def test_values_are_read_in_a_mixed_notation(text, items):
    assert read_values(text) == Values(items, True)


def test_words_are_told_from_strings():
    words, string = read_values("a b, 'c'").items
    assert isinstance(words, Word)
    assert not isinstance(string, Word)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        pytest.param("[[1, 2], [3, 4", [[[1.0, 2.0]]], id="list"),
        pytest.param("[{'a': [1, 2]}, {'a': [3], 'b", [[{"a": [1.0, 2.0]}]], id="dictionary"),
        pytest.param("[1], [2, 3", [[1.0]], id="second-list"),
        pytest.param("[[1], 23, 4", [[[1.0]]], id="number-that-may-have-lost-digits"),
        pytest.param("[1] 'it is", [[1.0]], id="string"),
    ],
)
def test_of_a_text_that_is_cut_the_complete_values_stay(text, items):
    assert read_values(text) == Values(items, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1, 2, 3", Unread.TRUNCATED),
        ("{'a': 1", Unread.TRUNCATED),
        ("'", Unread.TRUNCATED),
        ("[1)", Unread.MALFORMED),
        ("]", Unread.MALFORMED),
        ("{1, 2}", Unread.MALFORMED),
        ("{'a'}", Unread.MALFORMED),
        ("{'a':}", Unread.MALFORMED),
        ("{'a':: 1}", Unread.MALFORMED),
        ("{1: 2}", Unread.MALFORMED),
        ("{:}", Unread.MALFORMED),
        ("{'a': 1 2}", Unread.MALFORMED),
        ("[" * 17 + "]" * 17, Unread.TOO_LONG),
    ],
)
def test_other_text_has_no_values(text, reason):
    assert read_values(text) == reason


def test_sixteen_levels_are_read():
    assert read_values("[" * 16 + "]" * 16).complete


@given(st.text(max_size=80) | st.text(alphabet="[](){},;:'\"\\ au0d8-+.e\n", max_size=80))
def test_any_text_is_read_or_refused(text):
    assert isinstance(read_values(text), Values | Unread)


PIECES = (
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ", ",
    ": ",
    "'a'",
    '"b"',
    "'",
    '"',
    "1",
    "-2.5",
    "nan",
    "NaN",
    "true",
    "é",
    "it's",
    "\n",
)


def test_deep_lists_do_not_pass_for_shallow_ones():
    text = "[" + """["]",""" * 2000 + "1" + ""","["]""" * 2000 + "]"
    assert json.loads("[" + """["]",""" * 20 + "1" + ""","["]""" * 20 + "]")
    assert read_values(text) == Unread.TOO_LONG


@given(
    VALUES,
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(PIECES)), max_size=2),
    st.sampled_from([json.dumps, repr]),
)
def test_the_fast_reader_and_the_tolerant_one_agree(value, changes, write):
    text = write([value])
    for position, piece in changes:
        text = text[:position] + piece + text[position:]
    fast = read_json(text)
    assert fast is None or repr(read_tokens(text)) == repr(Values([fast], True))


@pytest.mark.parametrize(
    "text",
    [
        "[{'Position': [1, 2, 3, 4], 'Confidence': 0.5}, {'Position': [1, 2, 3, 4]}]",
        '[{"bbox_2d": [1, 2, 3, 4], "label": "the dog\'s bone"}]',
        "[[1, 2, 3, 4], [5, 6, 7, 8, 0.5]]",
        "[]",
    ],
)
def test_what_is_asked_for_is_read_fast(text):
    assert read_json(text) is not None

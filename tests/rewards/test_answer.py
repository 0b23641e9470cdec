from __future__ import annotations

import pytest
from builders import make_sample

from vrft_pl.rewards import NumberMatch
from vrft_pl.solutions import Number


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
        pytest.param("three", 3, None, id="word"),
        pytest.param("not 3", 3, None, id="text-before"),
        pytest.param("7 and then 3", 3, None, id="two-numbers"),
        pytest.param("nan", 3, None, id="nan"),
    ],
)
def test_an_answer_counts_if_it_is_the_number(answer, truth, expected):
    text = f"<think>{truth}</think><answer>{answer}</answer>"
    assert NumberMatch().grade_one(text, make_sample(Number(truth)), None) == expected


def test_several_lines_are_read():
    assert NumberMatch().grade_one("<think>a</think>\n<answer>\n3\n</answer>\n", make_sample(Number(3)), None) == 1


def test_truth_in_the_thoughts_does_not_save_a_wrong_answer():
    assert NumberMatch().grade_one("<think>3</think><answer>4</answer> 3", make_sample(Number(3)), None) == 0


def test_a_bare_answer_is_read_in_the_bare_style():
    assert NumberMatch().grade_one("3", make_sample(Number(3), "answer"), None) == 1
    assert NumberMatch().grade_one("3", make_sample(Number(3), "think"), None) is None


def test_words_are_read_if_asked_for():
    assert NumberMatch(words=True).grade_one("<answer>Three</answer>", make_sample(Number(3)), None) == 1

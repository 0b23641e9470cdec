from __future__ import annotations

import copy

import pytest
import torch
from builders import lengths_mask, make_completions, make_sample
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.answers import Box, Number
from vrft_pl.rewards import BoxIoU, NumberMatch, Reward
from vrft_pl.rewards.length import LengthPenalty, Overlong


class Marked(Reward):
    def grade_one(self, text, sample, frame):
        return float(text)


def penalties(lengths, correct, groups, reward=None):
    """Scores of completions of so many tokens; ``groups`` are the completions of each prompt."""
    samples = [sample for size in groups for sample in [make_sample()] * size]
    completions = make_completions([str(c) for c in correct], mask=lengths_mask(lengths))
    return (reward or LengthPenalty(Marked())).grade(completions, samples).scores


@pytest.mark.parametrize(
    ("lengths", "correct", "expected"),
    [
        pytest.param([10, 20, 30], [1, 1, 1], [0.5, 0.0, -0.5], id="all-right"),
        pytest.param([10, 20, 30], [0, 0, 0], [0.0, 0.0, -0.5], id="all-wrong"),
        pytest.param([10, 15, 30], [0, 1, 1], [0.0, 0.25, -0.5], id="shortest-is-wrong"),
        pytest.param([10, 25, 30], [1, 0, 0], [0.5, -0.25, -0.5], id="only-shortest-is-right"),
        pytest.param([20, 20, 20], [1, 0, 1], [0.0, 0.0, 0.0], id="equal-lengths"),
        pytest.param([10, 20, 30], [1, 0.99, 1], [0.5, 0.0, -0.5], id="nearly-right-is-wrong"),
        pytest.param([10, 10, 30], [1, 0.99, 1], [0.5, 0.0, -0.5], id="nearly-right-and-short"),
        pytest.param([7], [1], [0.0], id="alone"),
    ],
)
def test_length_penalty_by_hand(lengths, correct, expected):
    torch.testing.assert_close(penalties(lengths, correct, [len(lengths)]), torch.tensor(expected))


def test_lengths_are_compared_within_the_group():
    """Reason-RFT takes shortest and longest over the local batch."""
    short, long = [1, 2, 3, 3], [50, 100, 60, 90]
    together = penalties(short + long, [1] * 8, [4, 4])
    torch.testing.assert_close(together[:4], penalties(short, [1] * 4, [4]))
    torch.testing.assert_close(together[4:], penalties(long, [1] * 4, [4]))
    assert together[4] == 0.5


def test_equal_questions_are_different_prompts():
    sample, twin = make_sample(), make_sample()
    assert sample == twin
    completions = make_completions(["1"] * 4, mask=lengths_mask([1, 2, 5, 9]))
    scores = LengthPenalty(Marked()).grade(completions, [sample, sample, twin, twin]).scores
    assert scores.tolist() == [0.5, -0.5, 0.5, -0.5]


def test_length_is_in_tokens():
    completions = make_completions(["1.0000", "1"], mask=lengths_mask([3, 8]))
    assert LengthPenalty(Marked()).grade(completions, [make_sample()] * 2).scores.tolist() == [0.5, -0.5]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 1)), min_size=2, max_size=8), st.integers(1, 5))
def test_length_penalty_is_bounded_and_blind_to_the_unit(group, scale):
    lengths, correct = zip(*group, strict=True)
    scores = penalties(lengths, correct, [len(group)])
    assert (scores.abs() <= 0.5).all()
    assert (scores[torch.tensor(correct) == 0] <= 0).all()
    torch.testing.assert_close(penalties([n * scale for n in lengths], correct, [len(group)]), scores)


def test_an_unread_answer_is_wrong_and_no_parse_failure_of_the_length():
    completions = make_completions(["<answer>3</answer>", "3"], mask=lengths_mask([9, 2]))
    reward = LengthPenalty(NumberMatch())
    grades = reward.grade(completions, [make_sample(Number(3))] * 2)
    assert grades.scores.tolist() == [-0.5, 0.0]
    assert grades.parse_failures.tolist() == [0, 0]
    reward.update(completions, [make_sample(Number(3))] * 2)
    assert list(reward.values()) == ["LengthPenalty"]


def test_length_is_judged_where_the_answer_is():
    box = make_sample(Box((0.0, 0.0, 1.0, 1.0)))
    number = make_sample(Number(3))
    completions = make_completions(["x"] * 4, mask=lengths_mask([1, 9, 1, 9]))
    reward = LengthPenalty(BoxIoU())
    assert (reward.judges(box), reward.judges(number)) == (True, False)
    assert reward.grade(completions, [number, number, box, box]).scores.tolist() == [0, 0, 0, -0.5]
    reward.update(completions, [number, number, box, box])
    assert (reward.compute(), reward.count) == (-0.25, 2)


def test_the_nested_reward_is_only_asked():
    """So a copy of a metric, as each split has one, and a reset one, have nothing of the inner reward's to forget."""
    reward = LengthPenalty(Marked(weight=0), weight=0.5, start=800)
    completions, samples = make_completions(["1", "1"], mask=lengths_mask([1, 3])), [make_sample()] * 2
    twin = copy.deepcopy(reward).to("cpu")
    reward.update(completions, samples)
    assert (reward.count, reward.correct.count, twin.count) == (2, 0, 0)
    assert twin.correct is not reward.correct
    reward.reset()
    assert reward.values() == {}
    assert (reward.weight_at(799), reward.weight_at(800)) == (0, 0.5)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, 0.0), (79, 0.0), (80, 0.0), (85, -0.25), (90, -0.5), (99, -0.95), (100, -1.0), (101, -1.0), (500, -1.0)],
)
def test_overlong_falls_over_the_buffer(length, expected):
    completions = make_completions(["x"], mask=lengths_mask([length]))
    grades = Overlong(max_tokens=100, buffer=20).grade(completions, [make_sample()])
    assert grades.scores.tolist() == pytest.approx([expected])
    assert grades.parse_failures.tolist() == [0]


def test_a_cut_completion_is_overlong_whatever_its_length():
    completions = make_completions(["x", "x"], mask=lengths_mask([3, 3]), truncated=[True, False])
    assert Overlong(max_tokens=100, buffer=100).grade(completions, [make_sample()] * 2).scores.tolist() == [
        -1.0,
        pytest.approx(-0.03),
    ]


@pytest.mark.parametrize("buffer", [0, -1, 101])
def test_the_buffer_lies_below_the_limit(buffer):
    message = f"Expected `buffer` to be from 1 to `max_tokens` = 100 tokens, but got {buffer}"
    with pytest.raises(ValueError, match=message):
        Overlong(max_tokens=100, buffer=buffer)

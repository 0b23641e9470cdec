from __future__ import annotations

import pytest
from builders import make_completions

from vrft_pl.answers import Choice, Label, Number
from vrft_pl.metrics import Accuracy, wilson_interval
from vrft_pl.rewards import Format, NumberMatch
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Sample


class Same(Reward):
    """1 for the very text of a choice or label, 0.5 for any other single letter."""

    solution_type = (Choice, Label, Number)
    bounds = (0.0, 1.0)

    def grade_one(self, text, sample, frame):
        truth = sample.solution
        right = truth.letter if isinstance(truth, Choice) else getattr(truth, "name", "3")
        return Unread.EMPTY if not text else 1.0 if text == right else 0.5


class Unbounded(Reward):
    pass


def judge(metric, *cases):
    """Judge ``(answer, truth, tags)``, tags optional."""
    samples = [
        Sample(str(i), (), "Question?", truth, style="answer", tags=tuple(tags))
        for i, (_, truth, *tags) in enumerate(cases)
    ]
    metric.update(make_completions([case[0] for case in cases]), samples)
    return {name: value.item() for name, value in metric.values().items()}


def test_only_full_credit_is_right_and_unread_answers_are_wrong():
    numbers = judge(Accuracy(Same()), ("3", Number(3)), ("3", Number(3)), ("4", Number(3)), ("", Number(3)))
    low, high = wilson_interval(2, 4)
    expected = {"Accuracy": 0.5, "Accuracy/low": low, "Accuracy/high": high, "parse_failures/Accuracy": 0.25}
    assert numbers == pytest.approx(expected)


def test_classes_are_averaged_with_equal_weight():
    rose, lily = Label("rose"), Label("water lily")
    numbers = judge(Accuracy(Same(), name="top1"), ("rose", rose), ("rose", rose), ("lily", rose), ("lily", lily))
    assert numbers["top1"] == 0.5
    assert numbers["top1/class/rose"] == pytest.approx(2 / 3)
    assert numbers["top1/class/water lily"] == 0
    assert numbers["top1/per_class"] == pytest.approx(1 / 3)


def test_choices_are_told_from_others_where_there_are_both():
    mixed = [("A", Choice("A")), ("B", Choice("A")), ("3", Number(3))]
    numbers = judge(Accuracy(Same()), *mixed)
    assert (numbers["Accuracy/choice"], numbers["Accuracy/other"]) == (0.5, 1.0)
    for alone in (mixed[:2], mixed[2:]):
        assert not {"Accuracy/choice", "Accuracy/other"} & judge(Accuracy(Same()), *alone).keys()


def test_each_tag_has_its_share():
    numbers = judge(Accuracy(Same()), ("3", Number(3), "id"), ("4", Number(3), "id", "left"), ("4", Number(3), "ood"))
    tags = {name: value for name, value in numbers.items() if "tag" in name}
    assert tags == {"Accuracy/tag/id": 0.5, "Accuracy/tag/left": 0.0, "Accuracy/tag/ood": 0.0}


def test_a_reward_that_always_reads_has_no_share_of_failures():
    numbers = judge(Accuracy(Format()), ("x", Number(3)), ("", Number(3)))
    assert (numbers["Accuracy"], "parse_failures/Accuracy" in numbers) == (0.5, False)


def test_the_reward_says_what_can_be_judged():
    assert judge(Accuracy(NumberMatch()), ("A", Choice("A"))) == {}


def test_a_reward_without_a_greatest_score_is_refused():
    with pytest.raises(ValueError, match="Expected `reward` to have a greatest score, but `Unbounded` has none"):
        Accuracy(Unbounded())

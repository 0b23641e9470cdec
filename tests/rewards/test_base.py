from __future__ import annotations

import pytest
import torch
from builders import make_completions, make_sample

from vrft_pl.answers import Box, Number
from vrft_pl.rewards import BoxIoU, Format, NumberMatch, Reward, Unread
from vrft_pl.rewards.base import REASONS
from vrft_pl.types import InputError


class Length(Reward):
    def grade_one(self, text, sample, frame):
        return float(text) if text else Unread.EMPTY


TEXTS = ["0.5", "", "1", "0.25", "0.1"]


def test_training_gets_one_score_per_completion():
    grades = Length().grade(make_completions(TEXTS), [make_sample()] * 5)
    torch.testing.assert_close(grades.scores, torch.tensor([0.5, 0.0, 1.0, 0.25, 0.1]))
    assert [REASONS[code - 1] if code else None for code in grades.parse_failures] == [
        None,
        Unread.EMPTY,
        None,
        None,
        None,
    ]


def test_the_metric_is_the_mean_of_the_scores_over_batches():
    reward, samples = Length(), [make_sample()] * 5
    reward.update(make_completions(TEXTS[:2]), samples[:2])
    reward.update(make_completions(TEXTS[2:]), samples[2:])
    torch.testing.assert_close(reward.compute(), reward.score(make_completions(TEXTS), samples).mean())
    assert reward.failures.tolist() == [reason == Unread.EMPTY for reason in REASONS]


def test_a_reset_metric_forgets():
    reward = Length()
    reward.update(make_completions(["1"]), [make_sample()])
    reward.reset()
    reward.update(make_completions(["0.5"]), [make_sample()])
    assert reward.compute() == 0.5


def test_a_metric_survives_validation_before_training():
    reward = Length()
    with torch.inference_mode():
        reward.update(make_completions(["1"]), [make_sample()])
    reward.update(make_completions(["0"]), [make_sample()])
    assert reward.compute() == 0.5


def test_other_kinds_of_truth_are_left_out_of_the_mean():
    completions = make_completions(["<answer>3</answer>", "<answer>[0, 0, 1, 1]</answer>", "<answer>?</answer>"])
    samples = [make_sample(Number(3)), make_sample(Box((0.0, 0.0, 1.0, 1.0))), make_sample(Box((0.0, 0.0, 1.0, 1.0)))]
    number, box = NumberMatch(), BoxIoU()
    for reward in (number, box):
        reward.update(completions, samples)
    assert (number.compute(), number.count, number.failures.sum()) == (1.0, 1, 0)
    assert (box.compute(), box.count, box.failures.sum()) == (0.5, 2, 1)
    assert number.score(completions, samples).tolist() == [1.0, 0.0, 0.0]


def test_a_metric_that_judged_nothing_is_nan():
    reward = NumberMatch()
    reward.update(make_completions(["x"]), [make_sample(Box((0.0, 0.0, 1.0, 1.0)))])
    assert reward.compute().isnan()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e39"])
def test_a_score_that_is_not_finite_stops_the_run(value):
    message = r"Expected reward `mine` to return a finite number, but got .* for sample row 7 and completion '{}'"
    with pytest.raises(InputError, match=message.format(value)):
        Length(name="mine").grade(make_completions(["1", value]), [make_sample()] * 2)


def test_each_completion_needs_its_sample():
    with pytest.raises(ValueError, match="zip"):
        Length().grade(make_completions(TEXTS), [make_sample()])


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_is_finite_and_not_negative(weight):
    with pytest.raises(ValueError, match=f"Expected `weight` to be 0 or more, but got {weight}"):
        Length(weight=weight)


def test_a_reward_is_named_after_its_class_or_as_it_is_told():
    assert (Format().name, Format(name="Form").name, Format(weight=0).weight) == ("Format", "Form", 0)


def test_none_is_short_for_malformed():
    class Mute(Reward):
        def grade_one(self, text, sample, frame):
            return None

    grades = Mute().grade(make_completions(["x"]), [make_sample()])
    assert (grades.scores.item(), REASONS[grades.parse_failures.item() - 1]) == (0, Unread.MALFORMED)


def test_what_is_logged_of_a_split_tells_failures_from_wrong_answers():
    reward = Length()
    reward.update(make_completions(TEXTS), [make_sample()] * 5)
    values = {name: value.item() for name, value in reward.values().items()}
    assert values == pytest.approx({"Length": 1.85 / 5, "parse_failures/Length": 0.2})
    assert "parse_failures/Format" not in Format("think").values()
    assert NumberMatch().values() == {}


def test_a_weight_takes_effect_after_its_start():
    reward = Length(weight=0.5, start=3)
    assert [reward.weight_at(step) for step in (0, 2, 3, 9)] == [0, 0, 0.5, 0.5]
    with pytest.raises(ValueError, match="`start` to be 0 or more optimizer steps, but got -1"):
        Length(start=-1)

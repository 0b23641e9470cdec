from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from builders import make_completions, make_sample
from jsonargparse import ArgumentParser

from vrft_pl.rewards import Reward, Unread
from vrft_pl.rewards.base import REASONS
from vrft_pl.rewards.function import FunctionReward
from vrft_pl.types import InputError

TEXTS = ["<think>a</think>b", "cc", ""]
SAMPLES = [make_sample()] * 3


def lengths(texts, samples):
    return [len(text) if text else None for text in texts]


def returning(value, **kwargs):
    """A reward whose function returns a value whatever it is asked."""

    def mine(texts, samples):
        return value

    return FunctionReward(mine, **kwargs)


def test_the_function_gets_whole_texts_and_their_samples():
    asked = []

    def mine(texts, samples):
        asked.append((texts, samples))
        return [0.5, 1, True]

    grades = FunctionReward(mine).grade(make_completions(TEXTS), tuple(SAMPLES))
    assert asked == [(TEXTS, SAMPLES)]
    assert grades.scores.tolist() == [0.5, 1.0, 1.0]
    assert grades.parse_failures.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "returned",
    [
        pytest.param([0.5, -2, True], id="list"),
        pytest.param((0.5, -2, True), id="tuple"),
        pytest.param(np.array([0.5, -2, 1]), id="array"),
        pytest.param(np.array([0.5, -2, 1], dtype=np.float16), id="half-array"),
        pytest.param(torch.tensor([0.5, -2, 1]), id="tensor"),
        pytest.param(torch.tensor([0.5, -2, 1], dtype=torch.bfloat16, requires_grad=True), id="tensor-with-gradient"),
        pytest.param([np.float32(0.5), np.int64(-2), np.bool_(True)], id="array-scalars"),
        pytest.param([torch.tensor(0.5), torch.tensor([-2]), torch.tensor(True)], id="tensor-scalars"),
    ],
)
def test_scores_come_in_any_sequence(returned):
    assert returning(returned).score(make_completions(TEXTS), SAMPLES).tolist() == [0.5, -2.0, 1.0]


def test_none_and_reasons_are_parse_failures():
    grades = returning([1, None, Unread.TIMEOUT]).grade(make_completions(TEXTS), SAMPLES)
    assert grades.scores.tolist() == [1, 0, 0]
    reasons = [REASONS[code - 1] if code else None for code in grades.parse_failures]
    assert reasons == [None, Unread.MALFORMED, Unread.TIMEOUT]


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        pytest.param([1.0, 2.0], "2", id="too-few"),
        pytest.param([1.0] * 4, "4", id="too-many"),
        pytest.param(torch.ones(2), "2", id="short-tensor"),
        pytest.param(None, "NoneType None", id="nothing"),
        pytest.param(1.0, "float 1.0", id="number"),
        pytest.param("abc", "str 'abc'", id="text"),
        pytest.param({0: 1, 1: 2, 2: 3}, r"dict \{0: 1, 1: 2, 2: 3\}", id="dictionary"),
        pytest.param(torch.tensor(1.0), r"Tensor tensor\(1\.\)", id="scalar-tensor"),
        pytest.param((value for value in [1.0, 2.0, 3.0]), "generator <generator", id="generator"),
    ],
)
def test_one_score_a_completion_is_expected(returned, got):
    message = (
        r"Expected reward function `[a-z.]*test_function\.returning\.<locals>\.mine` to return 3 scores, one a "
        rf"completion, in a list, array or tensor, but got {got}"
    )
    with pytest.raises(InputError, match=message):
        returning(returned).grade(make_completions(TEXTS), SAMPLES)


@pytest.mark.parametrize(
    ("value", "kwargs", "limits", "got"),
    [
        pytest.param("high", {}, "", "'high'", id="text"),
        pytest.param([0.5], {}, "", r"\[0\.5\]", id="list"),
        pytest.param(float("nan"), {}, "", "nan", id="nan"),
        pytest.param(float("-inf"), {}, "", "-inf", id="infinite"),
        pytest.param(torch.tensor(float("nan")), {}, "", "nan", id="nan-tensor"),
        pytest.param(1e39, {}, "", r"1e\+39", id="more-than-float32-holds"),
        pytest.param(10**400, {}, "", "1000", id="more-than-a-float-holds"),
        pytest.param(1j, {}, "", "1j", id="complex"),
        pytest.param(torch.ones(2), {}, "", "tensor", id="two-numbers"),
        pytest.param(1.1, {"low": 0, "high": 1}, " from 0 to 1", "1.1", id="above"),
        pytest.param(-0.1, {"low": 0, "high": 1}, " from 0 to 1", "-0.1", id="below"),
        pytest.param(-0.1, {"low": 0}, " from 0 to inf", "-0.1", id="below-without-upper-bound"),
    ],
)
def test_each_score_is_a_number_in_bounds(value, kwargs, limits, got):
    message = (
        rf"Expected reward function `[a-z.]*test_function\..*mine` to return finite numbers{limits}, booleans, `None` "
        rf"or `Unread`, but got {got}.* for sample row 7 and completion 'cc'"
    )
    with pytest.raises(InputError, match=message):
        returning([0.5, value, 0.5], **kwargs).grade(make_completions(TEXTS), SAMPLES)


def test_both_bounds_are_reached():
    reward = returning([-1, 0.5, 2], low=-1, high=2)
    assert reward.bounds == (-1, 2)
    assert reward.score(make_completions(TEXTS), SAMPLES).tolist() == [-1, 0.5, 2]


@pytest.mark.parametrize("bounds", [(1, 1), (1, 0), (float("nan"), 1)])
def test_bounds_have_room_between(bounds):
    message = f"Expected `low` to be below `high`, but got {bounds[0]} and {bounds[1]}"
    with pytest.raises(ValueError, match=message):
        FunctionReward(lengths, *bounds)


def test_a_function_can_be_called():
    with pytest.raises(ValueError, match="Expected `function` to be a function, but got 'lengths'"):
        FunctionReward("lengths")


def test_what_the_function_raises_is_raised():
    def mine(texts, samples):
        raise KeyError("no such row")

    with pytest.raises(KeyError, match="no such row"):
        FunctionReward(mine).grade(make_completions(TEXTS), SAMPLES)


@dataclass
class Power:
    exponent: float = 1.0

    def __call__(self, texts: Sequence[str], samples: Sequence[object]) -> list[float]:
        return [len(text) ** self.exponent for text in texts]


def test_a_function_reward_is_named_after_its_function():
    assert FunctionReward(lengths).name == "lengths"
    assert FunctionReward(lengths, name="Brevity").name == "Brevity"
    assert FunctionReward(Power(2)).name == "Power"
    assert FunctionReward(partial(lengths)).name == "partial"
    assert returning([]).name == "mine"


def test_a_copy_asks_the_same_function():
    reward = FunctionReward(lengths, low=0, high=100, weight=0.5)
    twin = copy.deepcopy(reward)
    twin.update(make_completions(TEXTS), SAMPLES)
    assert (twin.compute(), twin.count, reward.count) == (pytest.approx(19 / 3), 3, 0)
    assert (twin.function, twin.bounds, twin.weight) == (lengths, (0, 100), 0.5)


class Model:
    def __init__(self, rewards: Sequence[Reward]) -> None:
        self.rewards = rewards


YAML = """
model:
  rewards:
    - class_path: vrft_pl.rewards.function.FunctionReward
      init_args: {{function: {function}, low: 0, weight: 0.5}}
    - class_path: vrft_pl.rewards.Format
"""


@pytest.fixture
def parser(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_module", sys.modules[__name__])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Model, "model")
    return parser


def test_a_function_is_given_by_its_path_in_yaml(parser):
    first, second = parser.instantiate(parser.parse_string(YAML.format(function="my_module.lengths"))).model.rewards
    assert (first.name, first.weight, first.bounds[0], second.name) == ("lengths", 0.5, 0, "Format")
    assert first.score(make_completions(TEXTS), SAMPLES).tolist() == [17, 2, 0]


def test_a_callable_class_is_given_with_its_arguments(parser):
    function = "{class_path: my_module.Power, init_args: {exponent: 2}}"
    reward, _ = parser.instantiate(parser.parse_string(YAML.format(function=function))).model.rewards
    assert reward.score(make_completions(TEXTS), SAMPLES).tolist() == [17**2, 4, 0]


def test_a_misspelt_function_is_refused(parser):
    with pytest.raises(Exception, match="has no attribute 'no_such_function'"):
        parser.parse_string(YAML.format(function="my_module.no_such_function"))

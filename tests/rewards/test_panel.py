import pytest
from builders import make_completions, make_sample

from vrft_pl.answers import Box, Number
from vrft_pl.rewards import BoxIoU, NumberMatch
from vrft_pl.rewards.panel import check_names, judge, totals

BOX, THREE = make_sample(Box((0.0, 0.0, 4.0, 4.0))), make_sample(Number(3.0))
COMPLETIONS = make_completions(["<answer>3</answer>", "<answer>[0, 0, 4, 4]</answer>"])


def test_a_batch_is_told_those_that_judge_any_of_it():
    metrics = [NumberMatch(), BoxIoU()]
    vars(metrics[1])["update"] = None  # not called
    grades = judge(metrics, COMPLETIONS, [THREE, THREE])
    assert list(grades) == ["NumberMatch"]
    assert grades["NumberMatch"].scores.tolist() == [1.0, 0.0]
    assert dict(totals(metrics))["NumberMatch"] == 0.5
    assert judge([NumberMatch(), BoxIoU()], COMPLETIONS, [THREE, BOX]).keys() == {"NumberMatch", "BoxIoU"}


def test_totals_are_forgotten_once_they_are_asked_for():
    metrics = [NumberMatch()]
    judge(metrics, COMPLETIONS, [THREE, THREE])
    assert dict(totals(metrics))
    assert not dict(totals(metrics))


def test_two_rewards_of_one_name_are_refused():
    message = r"Reward names must be unique, but got \['BoxIoU', 'BoxIoU'\]. Give one of them a `name`"
    with pytest.raises(ValueError, match=message):
        check_names([BoxIoU(), BoxIoU(0.5)])
    check_names([BoxIoU(), BoxIoU(0.5, name="BoxIoU50")])

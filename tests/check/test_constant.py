from dataclasses import replace

import pytest
import torch
from builders import make_sample
from check.subjects import subject
from training import counting, grpo

from vrft_pl.answers import Box, Number
from vrft_pl.check.constant import check_constant, compared, told, training_rows
from vrft_pl.check.signal import check_signal
from vrft_pl.check.speed import check_speed
from vrft_pl.data import CountingScenes
from vrft_pl.metrics import Constants, constant
from vrft_pl.metrics.constant import Asked
from vrft_pl.modules import SFTModule
from vrft_pl.rewards import Format, NumberMatch
from vrft_pl.rollout import SamplingParams


class Same(CountingScenes):
    """The same question and answer in every row."""

    def record(self, rng, owner):
        return replace(super().record(rng, owner), answer=Number(4.0))


def test_the_best_constant_is_named_with_what_it_gets(qwen2_vl, tmp_path):
    task = counting(8, val={"id": Same(size=4, image_size=32)})
    task.train_source = Same(size=8, image_size=32)
    [finding] = check_constant(subject(grpo(qwen2_vl, rewards=[NumberMatch(), Format()]), tmp_path, task))
    what = "NumberMatch: the best constant answer of 8 training rows is '4': 1.000 on val/id."
    assert (finding.level, finding.what) == ("note", what)


def test_a_constant_with_coordinates_says_what_their_unit_is():
    row = Asked(make_sample(Box((0, 0, 3, 3))))
    (finding,) = told(Constants(answers={"BoxIoU": {"Box": "[1, 2, 3, 4]"}}), [row])
    unit = "in thousandths of the picture"
    assert finding.what == f"BoxIoU: the best constant answer of 1 training row is '[1, 2, 3, 4]' ({unit})."


def test_it_is_chosen_by_the_rows_that_fit_chooses_by(qwen2_vl, tmp_path, monkeypatch):
    checked = subject(grpo(qwen2_vl, rewards=[NumberMatch()]), tmp_path, counting(8))
    monkeypatch.setattr(constant, "MOST_ROWS", 3)
    own, of_fit = training_rows(checked), constant.training_rows(checked.task)
    assert [row.sample.id for row in own] == [row.sample.id for row in of_fit]
    assert len(own) == 3
    checked.rows = checked.rows[:1]  # as where a check reads some rows of many
    assert [row.index for row in training_rows(checked)] == [0]


@pytest.mark.parametrize("trains", ["grpo", "sft"])
def test_a_policy_clearly_below_a_constant_is_a_warning_where_it_is_to_be_reinforced(qwen2_vl, tmp_path, trains):
    module = grpo(qwen2_vl, rewards=[NumberMatch()])
    if trains == "sft":
        module = SFTModule(module.policy, metrics=[NumberMatch()], eval_params=SamplingParams(6, temperature=0.0))
    task = counting(8)
    task.train_source = Same(size=8, image_size=32)
    checked = subject(module, tmp_path, task)
    check_signal(checked)
    checked.sampled.scores["NumberMatch"].zero_()
    said = {finding.level: finding.what for finding in check_constant(checked)[1:]}
    what = (
        "`NumberMatch` of sampled answers is 0.000, below the 1.000 of a constant answer: the policy does not look yet."
    )
    assert said == {"warning" if trains == "grpo" else "note": f"{what} Train with SFT first."}


def test_a_policy_below_a_constant_by_accident_is_not_told_from_it(qwen2_vl, tmp_path):
    task = counting(8)
    task.train_source = Same(size=8, image_size=32)
    checked = subject(grpo(qwen2_vl, rewards=[NumberMatch()]), tmp_path, task)
    check_signal(checked)
    scores = checked.sampled.scores["NumberMatch"]
    scores.copy_(torch.tensor([1.0] * (len(scores) // 2) + [0.0] * (len(scores) // 2)))  # one of two prompts
    _, finding = check_constant(checked)
    what = "`NumberMatch` of sampled answers is 0.500, within 1.000 of the 1.000 of a constant answer."
    assert (finding.level, finding.what) == ("note", what)


def test_a_policy_above_a_constant_is_said_to_be():
    finding = compared("BoxIoU", torch.tensor([0.5, 0.6, 0.5, 0.6]), 0.25, reinforced=True)
    what = "`BoxIoU` of sampled answers is 0.550, above the 0.250 of a constant answer."
    assert (finding.level, finding.what) == ("note", what)
    assert "within 0.500 of the 0.250" in compared("BoxIoU", torch.tensor([0.1, 0.6]), 0.25, reinforced=True).what
    assert compared("BoxIoU", torch.tensor([0.1, 0.2]), 0.25, reinforced=True).level == "note"
    assert compared("BoxIoU", torch.tensor([0.1, 0.1]), 0.25, reinforced=True).level == "warning"


def test_without_training_rows_it_says_that_there_is_no_constant(qwen2_vl, tmp_path):
    task = counting(8, val={"id": CountingScenes(size=4, image_size=32)})
    task.train_source = None
    [finding] = check_constant(subject(grpo(qwen2_vl, rewards=[NumberMatch()]), tmp_path, task))
    assert finding.what == "No constant answer: there are no training rows to take a constant answer from."


def test_where_no_row_is_good_nothing_else_is_blamed(qwen2_vl, tmp_path):
    checked = subject(grpo(qwen2_vl), tmp_path, counting(4))
    checked.rows = [replace(row, sample=None, error="no picture") for row in checked.rows]
    assert [finding.what for finding in (*check_signal(checked), *check_speed(checked))] == [
        "No row is good: nothing was sampled.",
        "No row is good: no step was measured.",
    ]

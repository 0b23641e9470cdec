from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from builders import make_experience

from vrft_pl.modules.rollout_log import rollout_log
from vrft_pl.rewards import Unread
from vrft_pl.rewards.base import REASONS


def log(scores, codes):
    experience = make_experience(torch.ones(4, 2, dtype=torch.bool), torch.tensor([1.0, -1.0, 0.0, 0.0]), group_size=2)
    codes = torch.tensor(codes, dtype=torch.int8)
    experience = replace(experience, scores={"R": torch.tensor(scores)}, parse_failures={"R": codes})
    return rollout_log(experience)


def test_shares_are_of_the_samples_that_a_reward_judges():
    empty = REASONS.index(Unread.EMPTY) + 1
    values = log([1.0, 0.0, 0.0, 0.0], [0, empty, -1, -1])
    assert values["train/reward/R"] == 0.5
    assert values["train/parse_failures/R"] == values["train/parse_failures/R/empty"] == 0.5
    assert [name for name in values if name.count("/") == 3] == ["train/parse_failures/R/empty"]
    assert values["train/dead_groups"] == 0.5


def test_a_reward_that_judged_nothing_is_not_logged():
    values = log([0.0] * 4, [-1] * 4)
    assert not [name for name in values if "/R" in name]
    assert values["train/reward"] == pytest.approx(1.5)

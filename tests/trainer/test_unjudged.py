"""A reward that judges no row trains on nothing, and a run would end as if all were well."""

import pytest

from vrft_pl.__main__ import main
from vrft_pl.data import Counting, CountingScenes
from vrft_pl.modules import GRPOModule
from vrft_pl.policy import VLM
from vrft_pl.rewards import BoxIoU, Format, NumberMatch
from vrft_pl.trainer.unjudged import refuse_unjudged

SHORT = ["--run.wandb", "off", "--trainer.enable_progress_bar", "false", "--trainer.max_steps", "1"]


@pytest.fixture(scope="module")
def task():
    return Counting(CountingScenes(size=8), {"val": CountingScenes(size=4)}, style="answer")


def policy(*rewards):
    return GRPOModule(rewards=list(rewards), policy=VLM("tiny"))


def test_rewards_that_judge_nothing_are_refused_before_anything_is_computed(tmp_path, capsys, no_argv):
    given = "[{class_path: vrft_pl.rewards.BoxIoU}, {class_path: vrft_pl.rewards.Format}]"
    with pytest.raises(SystemExit) as stop:
        main(
            ["fit", "--config", "configs/quickstart.yaml", *SHORT, "--run.folder", str(tmp_path / "r")]
            + ["--model.rewards", given]
        )
    assert stop.value.code == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        "Expected a reward that judges the rows, but BoxIoU judge none of 64 rows, whose answers are of the kind "
        in said
    )


def test_one_that_judges_nothing_beside_others_is_told(task):
    with pytest.warns(UserWarning, match="Reward `BoxIoU` judges none of 8 rows, whose answers are of the kind Number"):
        refuse_unjudged(policy(BoxIoU(), NumberMatch()), task)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "rewards", [[NumberMatch(), Format()], [Format()], [NumberMatch(), BoxIoU(weight=0)]], ids=repr
)
def test_what_can_train_is_not_told_of(task, rewards):
    refuse_unjudged(policy(*rewards), task)

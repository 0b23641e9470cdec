"""Rules that change with the optimizer step."""

from __future__ import annotations

import pytest
import torch
from builders import make_completions, make_sample
from lightning.pytorch.callbacks import ModelCheckpoint
from training import counting, fit, grpo

from vrft_pl.answers import Box
from vrft_pl.rewards import BoxAccuracy, BoxIoU, FunctionReward, GuardedReward, JudgeReward, NumberMatch, Staged
from vrft_pl.rollout.scoring import score

SAMPLE = make_sample(Box((0.0, 0.0, 10.0, 10.0)), "answer")
HALF = make_completions(["[0, 0, 10, 6]"])
"""IoU 0.6."""


def staged(**kwargs):
    return Staged([BoxAccuracy(0.5), BoxAccuracy(0.75), BoxAccuracy(0.9)], [0, 10, 30], **kwargs)


@pytest.mark.parametrize("seconds", [300.0, None])
def test_training_is_judged_by_the_stage_of_the_step_in_any_order(seconds):
    for grader in (staged(), GuardedReward(staged(), seconds=seconds)):
        steps = [0, 9, 10, 1000, 0]
        given = [score([grader], [SAMPLE], HALF, step).by_reward["BoxAccuracy"].item() for step in steps]
        assert given == [1, 1, 0, 0, 1]


def test_held_out_completions_are_judged_by_the_last_stage_whatever_was_trained_before():
    reward = staged(name="Strict")
    score([GuardedReward(reward)], [SAMPLE], HALF, 0)
    reward.update(HALF, [SAMPLE])
    assert reward.compute() == 0
    assert set(reward.values()) == {"Strict", "parse_failures/Strict"}


def test_what_stages_cost_is_added_up_and_goes_on():
    def judge(**kwargs):
        return JudgeReward(
            "some", base_url="http://127.0.0.1:9/v1", backoff=0.0, retries=0, reads="completion", **kwargs
        )

    reward = Staged([judge(), judge(high=2.0)], [0, 5])
    with pytest.warns(UserWarning, match="Expected a verdict of judge"):
        assert [score([GuardedReward(reward)], [SAMPLE], HALF, step).total.item() for step in (0, 5)] == [0, 0]
    assert (reward.costs, reward.spent["requests"], reward.spent["failures"]) == (True, 2, 2)
    again = Staged([judge(), judge(high=2.0)], [0, 5])
    again.go_on_counting(reward.spent)
    assert again.spent["requests"] == 2
    assert (staged().costs, staged().spent) == (False, {})


def test_a_run_that_is_resumed_goes_by_the_stage_of_its_step(qwen3_vl, tmp_path):
    def run(ckpt_path=None, **kwargs):
        asked = []

        def stage(number):
            return FunctionReward(lambda texts, samples: asked.append(number) or [0.0] * len(texts), name=f"{number}")

        module = grpo(qwen3_vl, rewards=[Staged([stage(0), stage(1)], [0, 2])])
        fit(module, counting(size=8, batch_size=2), ckpt_path, **kwargs)
        return asked

    keep = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1)
    assert run(callbacks=[keep], enable_checkpointing=True) == [0, 0, 1, 1]
    assert run(str(tmp_path / "step=1.ckpt")) == [0, 1, 1]
    assert run(str(tmp_path / "step=3.ckpt")) == [1]


def test_the_weight_is_that_of_the_whole():
    reward = staged(weight=0.5, start=3)
    assert [reward.weight_at(step) for step in (2, 3, 50)] == [0, 0.5, 0.5]
    assert (reward.bounds, reward.solution_type, reward.judges(SAMPLE), reward.judges(make_sample())) == (
        (0, 1),
        Box,
        True,
        False,
    )


def test_a_stage_that_fails_counts_for_the_whole():
    class Fails(BoxIoU):
        def grade_one(self, text, sample, frame):
            raise KeyError(text)

    guarded = GuardedReward(Staged([BoxIoU(), Fails()], [0, 5]))
    assert score([guarded], [SAMPLE], HALF, 4).by_reward["Fails"] == torch.tensor([0.6])
    with pytest.warns(UserWarning, match="KeyError"):
        assert score([guarded], [SAMPLE], HALF, 5).by_reward["Fails"] == 0
    assert guarded.errors == 1


@pytest.mark.parametrize(
    ("stages", "starts", "message"),
    [
        ([], [], "Expected a start for each of `stages`, but got 0 and []"),
        ([BoxIoU()], [0, 5], r"Expected a start for each of `stages`, but got 1 and \[0, 5\]"),
        ([BoxIoU(), BoxIoU()], [1, 5], r"Expected `starts` to be optimizer steps that rise from 0, but got \[1, 5\]"),
        ([BoxIoU(), BoxIoU()], [0, 0], r"Expected `starts` to be optimizer steps that rise from 0, but got \[0, 0\]"),
        ([BoxIoU(), NumberMatch()], [0, 5], "judge the same kinds of ground truth, but got BoxIoU, NumberMatch"),
    ],
)
def test_stages_that_make_no_sense_are_refused(stages, starts, message):
    with pytest.raises(ValueError, match=message.replace("[]", r"\[\]")):
        Staged(stages, starts)

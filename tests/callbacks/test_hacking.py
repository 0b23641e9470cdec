from __future__ import annotations

import warnings

import pytest
import torch
from checkpoints import loaded
from lightning.pytorch.callbacks import ModelCheckpoint
from training import Share, counting, fit, grpo, sgd, weights

from vrft_pl.callbacks import RewardHackingAlarm
from vrft_pl.callbacks.hacking import rises
from vrft_pl.data import CountingScenes
from vrft_pl.metrics import Collected
from vrft_pl.modules import SFTModule
from vrft_pl.rewards import Format
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import CutBack, MetricsLogger, RunFolder
from vrft_pl.types import InputError

VAL = {"id": CountingScenes(size=4, image_size=32), "snow": CountingScenes("snow", size=4, image_size=32)}


class Script:
    """What rewards and metrics are to say, by optimizer step."""

    step = 0
    rewards, held_out = (), ()


class Told(Share):
    """A training reward that says what it is told."""

    def grade_one(self, text, sample, frame):
        return Script.rewards[Script.step] + 0.01 * super().grade_one(text, sample, frame)


class HeldOut(Collected):
    """A metric that says what it is told."""

    def values_of(self, completions, samples):
        return [Script.held_out[Script.step]] * len(samples)

    def summarize(self, rows):
        return {f"{self.name}/mean": sum(row.value for row in rows) / len(rows)}


class Errors(HeldOut):
    """Less of it is better."""

    higher_is_better = False


class Steps(RewardHackingAlarm):
    """An alarm whose script goes on by a line each step."""

    def on_rollout_start(self, trainer, module):
        Script.step = trainer.global_step


def train(checkpoint, folder, alarm, rewards, held_out, *callbacks, metric=HeldOut, ckpt_path=None, **kwargs):
    """Train as many steps as there are lines; what was logged, and the warnings."""
    Script.rewards, Script.held_out, Script.step = rewards, held_out, 0
    task = counting(size=len(rewards), batch_size=1, val=VAL)
    module = grpo(checkpoint, rewards=[Told()], metrics=[Format(), metric()], group_size=2, params=SamplingParams(2))
    settings = {"val_check_interval": 1000, "check_val_every_n_epoch": None, "log_every_n_steps": 1}
    settings |= {"num_sanity_val_steps": 0, **kwargs}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger = MetricsLogger(folder)
        fit(module, task, ckpt_path, callbacks=[alarm, *callbacks, CutBack()], logger=logger, **settings)
    told = [str(w.message) for w in caught if "training reward rises" in str(w.message)]
    rows = [row for row in RunFolder(folder).metrics() if "train/reward_hacking" in row]
    return [(int(row["step"]), float(row["train/reward_hacking"])) for row in rows], told, rows


RISING = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
FALLING = [0.9, 0.8, 0.75, 0.6, 0.5, 0.45, 0.3, 0.2]
LEVEL = [0.5, 0.6, 0.5, 0.6, 0.5, 0.6, 0.5, 0.6]


@pytest.mark.parametrize(
    ("rewards", "held_out", "metric", "alarms"),
    [
        pytest.param(RISING, FALLING, HeldOut, [0, 0, 0, 1, 1, 1, 1, 1], id="reward-up-held-out-down"),
        pytest.param(RISING, RISING, HeldOut, [0] * 8, id="both-up"),
        pytest.param(FALLING, FALLING, HeldOut, [0] * 8, id="both-down"),
        pytest.param(RISING, LEVEL, HeldOut, [0] * 8, id="held-out-without-a-trend"),
        pytest.param(LEVEL, FALLING, HeldOut, [0] * 8, id="reward-without-a-trend"),
        pytest.param(RISING, RISING, Errors, [0, 0, 0, 1, 1, 1, 1, 1], id="more-errors"),
    ],
)
def test_there_is_an_alarm_where_the_reward_rises_and_what_is_held_out_gets_worse(
    qwen3_vl, tmp_path, rewards, held_out, metric, alarms
):
    logged, told, _ = train(qwen3_vl, tmp_path, Steps(every_n_steps=1, window=4), rewards, held_out, metric=metric)
    assert [alarm for _, alarm in logged] == alarms
    assert len(told) == any(alarms)


def test_each_event_is_warned_of_once_with_its_numbers(qwen3_vl, tmp_path):
    rewards, held_out = [*RISING, *RISING], [*FALLING, *FALLING]  # in between both turn
    logged, told, rows = train(qwen3_vl, tmp_path, Steps(every_n_steps=1, window=3), rewards, held_out)
    alarms = [int(alarm) for _, alarm in logged]
    assert sum(b > a for a, b in zip([0, *alarms], alarms, strict=False)) == len(told) == 2
    assert "from step 3 to 5: train/reward from 0.3" in told[0]
    assert "val/watched/id/HeldOut/mean from 0.750 to 0.500" in told[0]
    assert float(rows[1]["val/watched/id/HeldOut/mean"]) == pytest.approx(0.8)


def test_the_reward_is_the_mean_of_the_rollouts_since_the_time_before(qwen3_vl, tmp_path):
    alarm = Steps(every_n_steps=4, window=3)
    train(qwen3_vl, tmp_path, alarm, RISING, FALLING)
    assert [point.step for point in alarm.points] == [4, 8]
    assert [point.reward for point in alarm.points] == pytest.approx([0.25, 0.65], abs=0.011)


@pytest.mark.parametrize("stop", [2, 5, 7])
def test_a_resumed_run_sounds_the_same_alarms_and_warns_of_no_event_twice(qwen3_vl, tmp_path, stop):
    def run(ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / "kept", "{step}", save_top_k=-1, every_n_train_steps=1)
        options = {"enable_checkpointing": True, "ckpt_path": ckpt_path}
        alarm = Steps(every_n_steps=1, window=4)
        return train(qwen3_vl, tmp_path / "run", alarm, RISING, FALLING, keep, **options)

    logged, told, _ = run()
    again, told_again, _ = run(str(tmp_path / f"kept/step={stop}.ckpt"))
    assert again == logged
    assert len(told) == 1
    assert len(told_again) == (stop < 4)


def test_training_is_the_same_to_the_bit_with_and_without_it(qwen3_vl, tmp_path):
    ends = []
    for callbacks in ([RewardHackingAlarm(every_n_steps=1)], []):
        torch.manual_seed(0)
        module = grpo(qwen3_vl)
        fit(module, counting(size=8, val=VAL), callbacks=callbacks)
        ends.append((weights(module), torch.rand(3)))
    assert torch.equal(ends[0][1], ends[1][1])
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())


def test_a_module_without_rollouts_is_left_alone(qwen3_vl):
    alarm = RewardHackingAlarm(every_n_steps=1)
    policy = loaded(qwen3_vl, max_pixels=1024)
    fit(SFTModule(policy, metrics=[Share()], optimizer=sgd), counting(size=4, val=VAL), callbacks=[alarm])
    assert alarm.points == []


@pytest.mark.parametrize("named", [True, False])
def test_a_metric_that_judges_none_of_the_samples_is_not_watched(qwen3_vl, tmp_path, named):
    class OfOthers(HeldOut):
        def judges(self, sample):
            return False

    Script.rewards, Script.held_out, Script.step = [0.0] * 3, [0.5] * 3, 0
    alarm = Steps("OfOthers" if named else None, num_samples=4, every_n_steps=1, window=3)
    module = grpo(qwen3_vl, rewards=[Told()], metrics=[OfOthers(), HeldOut()], group_size=2, params=SamplingParams(2))
    task = counting(size=3, batch_size=1, val=VAL)
    if named:
        with pytest.raises(InputError, match="to be one of .'HeldOut'., but got 'OfOthers'"):
            fit(module, task, callbacks=[alarm], limit_val_batches=1)
        return
    fit(module, task, callbacks=[alarm], limit_val_batches=1)
    assert [point.step for point in alarm.points] == [1, 2, 3]
    assert [point.held_out for point in alarm.points] == [0.5] * 3


def test_two_alarms_keep_their_states_apart():
    assert RewardHackingAlarm("A").state_key != RewardHackingAlarm("B").state_key


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"metric": "B"}, r"Expected `metric` .* one of \['Share'\], but got 'B'"), ({"part": "b"}, "Expected `part`")],
)
def test_what_the_run_does_not_have_can_not_be_watched(qwen3_vl, options, expected):
    with pytest.raises(InputError, match=expected):
        fit(grpo(qwen3_vl), counting(size=2, val=VAL), callbacks=[RewardHackingAlarm(**options)])


@pytest.mark.parametrize("options", [{"num_samples": 0}, {"every_n_steps": 0}, {"window": 2}, {"level": 0.0}], ids=str)
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"Expected .*`{next(iter(options))}`"):
        RewardHackingAlarm(**options)


def test_a_trend_is_taken_for_one_as_seldom_as_the_level_says():
    drawn = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)).tolist()
    assert 0.035 < sum(rises(values, 0.05) for values in drawn) / 2000 < 0.065

from __future__ import annotations

import sys
import threading
import time

import pytest
import torch
from builders import make_completions, make_sample
from checkpoints import loaded
from evaluation import SHORT, Looking, evaluate, scenes
from training import Share, counting, fit, grpo, weights

from vrft_pl.metrics import Accuracy
from vrft_pl.modules import PolicyModule
from vrft_pl.modules.state import stateful
from vrft_pl.rewards import FunctionReward, GuardedJudges, GuardedReward, Judge, LengthPenalty, Reward, Unread
from vrft_pl.rewards.base import REASONS, Grades
from vrft_pl.types import InputError

TEXTS = ["a", "bad", "ab", "abc"]
SAMPLES = [sample for sample in (make_sample(), make_sample()) for _ in range(2)]
ERROR = REASONS.index(Unread.ERROR) + 1


class Moody(Reward):
    """Fails on one text, in a way of its choice."""

    def __init__(self, mood=lambda: 1 / 0, bad=("bad",), **kwargs):
        super().__init__(**kwargs)
        self.mood, self.bad = mood, bad

    def grade_one(self, text, sample, frame):
        return self.mood() if text in self.bad else len(text)


def together(texts, samples):
    """A score that depends on what stands beside a completion."""
    if "bad" in texts:
        raise KeyError("bad")
    return [float(len(texts))] * len(texts)


@pytest.mark.parametrize(
    "mood",
    [
        pytest.param(lambda: 1 / 0, id="raises"),
        pytest.param(lambda: sys.exit(0), id="exits"),
        pytest.param(lambda: float("nan"), id="no-number"),
        pytest.param(lambda: 1e39, id="more-than-float32-holds"),
        pytest.param(lambda: "high", id="text"),
        pytest.param(lambda: torch.ones(2), id="two-numbers"),
    ],
)
def test_a_completion_that_a_reward_fails_on_counts_0_and_no_other(mood):
    guarded = GuardedReward(Moody(mood))
    with pytest.warns(UserWarning, match="It counts 0"):
        grades = guarded.grade(make_completions(TEXTS), SAMPLES)
    assert grades.scores.tolist() == [1, 0, 2, 3]
    assert grades.parse_failures.tolist() == [0, ERROR, 0, 0]
    assert guarded.errors == 1


def test_completions_that_are_judged_together_count_0_together():
    guarded = GuardedReward(FunctionReward(together))
    with pytest.warns(UserWarning, match="KeyError: 'bad' .*test_guarded.py:[0-9]+. for sample row 7 and completion"):
        grades = guarded.grade(make_completions(TEXTS), SAMPLES)
    assert grades.scores.tolist() == [0, 0, 2, 2]
    assert guarded.errors == 2


class Short(Reward):
    def grade(self, completions, samples):
        return Grades(torch.zeros(1), torch.zeros(1, dtype=torch.int8))


class Nothing(Reward):
    def grade(self, completions, samples):
        return None


@pytest.mark.parametrize("reward", [Short(), Nothing(), FunctionReward(lambda texts, samples: "high", name="text")])
def test_a_reward_that_says_something_else_than_scores_counts_0(reward):
    guarded = GuardedReward(reward)
    with pytest.warns(UserWarning, match="It counts 0"):
        grades = guarded.grade(make_completions(TEXTS[:2]), SAMPLES[:2])
    assert grades.scores.tolist() == [0, 0]


def test_the_first_failure_is_told_and_all_are_counted(recwarn):
    guarded = GuardedReward(Moody(bad=("bad", "ab")))
    for _ in range(2):
        guarded.grade(make_completions(TEXTS), SAMPLES)
    assert guarded.errors == 4
    assert [str(w.message).partition(" (")[0] for w in recwarn] == [
        "Expected reward `Moody` to score every completion, but got ZeroDivisionError: division by zero"
    ]


@pytest.mark.parametrize("reward", [Moody(), FunctionReward(together)])
def test_on_request_a_failure_ends_the_run_and_names_reward_sample_and_completion(reward):
    message = rf"Expected reward `{reward.name}` to .* for sample row 7 and completion 'bad'. Repair it, or count 0"
    with pytest.raises(InputError, match=message):
        GuardedReward(reward, on_error="raise").grade(make_completions(TEXTS), SAMPLES)


def test_a_reward_that_hangs_meets_its_limit_and_is_left_alone_in_the_end():
    free, asked = threading.Event(), []

    def wait(texts, samples):
        asked.append(len(texts))
        free.wait(60)
        return [1.0] * len(texts)

    guarded, start = GuardedReward(FunctionReward(wait), seconds=0.05), time.monotonic()
    try:
        with pytest.warns(UserWarning, match="is still at it. It counts 0 and is not asked any more") as told:
            grades = [guarded.grade(make_completions(TEXTS), SAMPLES) for _ in range(5)]
    finally:
        free.set()
    assert time.monotonic() - start < 30
    assert all(g.scores.tolist() == [0] * 4 and g.parse_failures.tolist() == [ERROR] * 4 for g in grades)
    assert (asked, guarded.hangs, guarded.errors, len(told)) == ([4, 4, 4], 3, 20, 3)


def test_on_request_a_hang_ends_the_run():
    free = threading.Event()
    guarded = GuardedReward(Moody(lambda: free.wait(60)), on_error="raise", seconds=0.05)
    with pytest.raises(InputError, match=r"Expected reward `Moody` to judge 4 completions within 0\.05 seconds"):
        guarded.grade(make_completions(TEXTS), SAMPLES)
    free.set()


def test_without_a_limit_a_reward_is_asked_where_it_is():
    places = []
    reward = Moody(lambda: places.append(threading.current_thread()) or 0.0)
    GuardedReward(reward, seconds=None).grade(make_completions(TEXTS), SAMPLES)
    GuardedReward(reward).grade(make_completions(TEXTS), SAMPLES)
    assert places[0] is threading.current_thread() is not places[1]


def test_a_reward_that_does_not_fail_says_the_same():
    for reward in (Share(), Moody(bad=()), LengthPenalty(Share())):
        plain = reward.grade(make_completions(TEXTS), SAMPLES)
        for mine, theirs in zip(GuardedReward(reward).grade(make_completions(TEXTS), SAMPLES), plain, strict=True):
            assert torch.equal(mine, theirs)
            assert mine.dtype == theirs.dtype


def test_samples_that_a_reward_does_not_judge_stay_so():
    class Picky(Moody):
        def judges(self, sample):
            return sample is SAMPLES[0]

    with pytest.warns(UserWarning, match="It counts 0"):
        grades = GuardedReward(Picky()).grade(make_completions(TEXTS), SAMPLES)
    assert grades.parse_failures.tolist() == [0, ERROR, -1, -1]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"on_error": "ignore"}, "Expected `on_reward_error` to be `zero` or `raise`, but got 'ignore'"),
        ({"seconds": 0}, "Expected `reward_seconds` to be above 0, but got 0"),
    ],
)
def test_options_are_in_their_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GuardedReward(Share(), **kwargs)


def test_a_run_goes_on_with_the_rewards_that_do_not_fail(qwen3_vl):
    def exits(texts, samples):
        sys.exit(0)

    plain, failing = grpo(qwen3_vl), grpo(qwen3_vl, rewards=[Share(), FunctionReward(exits)], metrics=[])
    fit(plain)
    with pytest.warns(UserWarning, match="Expected reward `exits` to score every completion, but got SystemExit: 0"):
        trainer = fit(failing)
    assert trainer.callback_metrics["train/reward_errors/exits"] == 1
    assert "train/reward_errors/Share" not in trainer.callback_metrics
    assert failing.faults() == {"reward_errors/exits": 16}
    assert plain.faults() == {}
    assert all(torch.equal(w, weights(failing)[name]) for name, w in weights(plain).items())
    failing.deciders["reward/exits"].load_state_dict({"errors": 1, "hangs": 2})
    assert stateful(failing.deciders)["reward/exits"].state_dict() == {"errors": 1, "hangs": 2}


CPU = torch.device("cpu")


class Bounded(Moody):
    bounds = (0.0, 2.0)


class Counted(Judge):
    """Counts completions, unless it fails."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, completions, samples):
        if "bad" in completions.texts:
            raise self.error
        self.count = self.count + len(samples)

    def values(self):
        return {"Counted": self.count}


def test_a_reward_that_fails_on_a_held_out_completion_counts_0_for_it_also_below_another_metric():
    metrics = [Bounded(), Accuracy(Bounded())]
    guard = GuardedJudges(metrics, "zero", 300.0)
    first, second = guard.copies(metrics, CPU)
    for judge in (first, second):
        with pytest.warns(UserWarning, match="ZeroDivisionError: .* for sample row 7 and completion 'bad'"):
            judge.update(make_completions(TEXTS), SAMPLES)
    assert {name: float(value) for name, value in first.values().items()} == {
        "Bounded": 1.5,
        "parse_failures/Bounded": 0.25,
        "reward_errors/Bounded": 0.25,
    }
    assert second.graded.parse_failures.tolist() == [0, ERROR, 0, 0]
    assert guard.errors == {"Bounded": 1, "Accuracy": 1}
    (again, _) = guard.copies(metrics, CPU, counted=False)
    again.update(make_completions(TEXTS), SAMPLES)
    assert guard.errors["Bounded"] == 1
    other = GuardedJudges(metrics, "zero", None)
    other.load_state_dict(guard.state_dict())
    assert other.errors == guard.errors


def test_a_reward_that_hangs_in_an_evaluation_meets_its_time_limit():
    metrics = [Moody(lambda: time.sleep(5))]
    guard = GuardedJudges(metrics, "zero", 0.05)
    (judge,) = guard.copies(metrics, CPU)
    with pytest.warns(UserWarning, match="Expected reward `Moody` to judge 4 completions within 0.05 seconds"):
        judge.update(make_completions(TEXTS), SAMPLES)
    assert guard.errors == {"Moody": 4}
    assert float(judge.values()["reward_errors/Moody"]) == 1


def test_a_metric_that_fails_leaves_the_batch_out():
    metrics = [Counted(KeyError("boxes"))]
    guard = GuardedJudges(metrics, "zero", None)
    (judge,) = guard.copies(metrics, CPU)
    judge.update(make_completions(TEXTS[2:]), SAMPLES[2:])
    judge.graded = Grades(torch.ones(2), torch.zeros(2))
    with pytest.warns(UserWarning, match="Expected metric `Counted` to judge every batch, but got KeyError: 'boxes'"):
        judge.update(make_completions(TEXTS), SAMPLES)
    assert (judge.values()["Counted"], judge.graded, guard.errors) == (2, None, {"Counted": 4})


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        pytest.param(Moody(), "for sample row 7 and completion 'bad'. Repair it, or count 0", id="reward"),
        pytest.param(Counted(KeyError("boxes")), "Expected metric `Counted` .* Repair it, or leave", id="metric"),
    ],
)
def test_a_failure_in_an_evaluation_ends_the_run_where_that_is_asked_for(metric, message):
    (judge,) = GuardedJudges([metric], "raise", None).copies([metric], CPU)
    with pytest.raises(InputError, match=message):
        judge.update(make_completions(TEXTS), SAMPLES)


def test_what_a_metric_says_of_its_ground_truth_ends_an_evaluation():
    metric = Counted(InputError("no category 7"))
    (judge,) = GuardedJudges([metric], "zero", None).copies([metric], CPU)
    with pytest.raises(InputError, match="no category 7"):
        judge.update(make_completions(TEXTS), SAMPLES)


def test_an_evaluation_comes_to_its_end_with_a_reward_that_fails(qwen3_vl):
    def exits(texts, samples):
        sys.exit(0)

    metrics = [Share(), FunctionReward(exits)]
    module = PolicyModule(loaded(qwen3_vl, max_pixels=1024), metrics=metrics, eval_params=SHORT, sampler=Looking())
    with pytest.warns(UserWarning, match="Expected reward `exits` to score every completion, but got SystemExit: 0"):
        got = evaluate(module, counting(val={"id": scenes(3)}))
    assert (got["val/id/exits"], got["val/id/reward_errors/exits"]) == (0, 1)
    assert "val/id/reward_errors/Share" not in got
    assert module.faults() == {"evaluation/reward_errors/exits": 3}

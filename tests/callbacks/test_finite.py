from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from forking import forked
from lightning.pytorch import Callback
from torch.optim import AdamW
from training import Share, counting, fit, grpo, run, weights

from vrft_pl.algorithms import GroupAdvantage, GRPOLoss
from vrft_pl.callbacks import NonFiniteGuard, RolloutCallback
from vrft_pl.types import InputError

NAN = float("nan")


class Poison(Callback):
    """Makes one number of some optimizer steps not finite: the loss, or a gradient alone."""

    def __init__(self, steps, where="loss"):
        self.steps, self.where = steps, where
        self.after = []

    def on_before_backward(self, trainer, module, loss):
        if trainer.global_step in self.steps and self.where == "loss":
            loss.data.mul_(NAN)

    def on_after_backward(self, trainer, module):
        if trainer.global_step in self.steps and self.where == "gradient":
            next(p for p in module.policy.parameters() if p.grad is not None).grad.view(-1)[0] = float("inf")

    def on_train_batch_end(self, trainer, module, *args):
        self.after.append(weights(module))


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def adamw(parameters):
    return AdamW(parameters, lr=1e-3, weight_decay=0.5)


def guarded(module, guard, *callbacks, **kwargs):
    return fit(module, counting(size=6), callbacks=[*callbacks, guard], **kwargs)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("kind", ["grpo", "sft"])
def test_a_step_that_is_not_finite_leaves_the_weights_and_is_written_down(kind, where, qwen3_vl, tmp_path):
    module, poison, guard = run(kind, qwen3_vl), Poison({1}, where), NonFiniteGuard()
    module.optimizer = adamw
    with pytest.warns(UserWarning, match=r"Expected finite losses and gradients, but got .* of step 1\. Look at"):
        trainer = guarded(module, guard, poison, default_root_dir=tmp_path)
    before, left_out, after = poison.after
    assert same(before, left_out)
    assert not same(left_out, after)
    assert all(bool(w.isfinite().all()) for w in after.values())
    assert guard.faults() == {"skipped_steps": 1}
    assert trainer.callback_metrics["train/skipped_steps"] == 1
    assert trainer.callback_metrics["train/gradient_norm"] > 0
    (file,) = (tmp_path / "inspect").iterdir()
    assert file.name == "update-step000001-rank0.json"
    told = json.loads(file.read_text())
    assert len(told["completions"]) == (8 if kind == "grpo" else 2)
    assert {"id", "problem"} <= set(told["completions"][0])
    assert (told["losses"] == ["nan"]) is (where == "loss")
    assert len(told["gradients"]) == (where == "gradient")


def test_a_run_without_faults_is_the_same_to_the_bit(qwen3_vl):
    plain, watched, guard = grpo(qwen3_vl), grpo(qwen3_vl), NonFiniteGuard()
    fit(plain, counting(size=6), accumulate_grad_batches=2)
    guarded(watched, guard, accumulate_grad_batches=2)
    assert same(weights(plain), weights(watched))
    assert guard.faults() == {}


def test_one_micro_batch_of_several_leaves_out_their_step(qwen3_vl, tmp_path):
    class Second(Poison):
        def on_before_backward(self, trainer, module, loss):
            if trainer.fit_loop.epoch_loop.batch_idx == 1:
                loss.data.mul_(NAN)

    module, guard, start = grpo(qwen3_vl), NonFiniteGuard(), None
    start = weights(module)
    with pytest.warns(UserWarning, match="of step 0"):
        fit(
            module,
            counting(size=4),
            callbacks=[Second({0}), guard],
            accumulate_grad_batches=2,
            default_root_dir=tmp_path,
        )
    assert same(start, weights(module))
    assert guard.skipped == 1


def test_on_request_the_run_ends(qwen3_vl, tmp_path):
    module, guard = grpo(qwen3_vl), NonFiniteGuard(action="stop")
    start = weights(module)
    with pytest.raises(InputError, match=r"but got the loss of step 0\. Look at .*inspect\. Leave such steps"):
        guarded(module, guard, Poison({0}), default_root_dir=tmp_path)
    assert same(start, weights(module))


def test_steps_in_a_row_end_the_run(qwen3_vl, tmp_path):
    module, guard = grpo(qwen3_vl), NonFiniteGuard(patience=2, keep=1)
    with (
        pytest.raises(InputError, match=r"of step 1\. .* 2 such steps came in a row: lower the learning rate"),
        pytest.warns(UserWarning, match="The step is left out"),
    ):
        guarded(module, guard, Poison({0, 1}), default_root_dir=tmp_path)
    assert len(list((tmp_path / "inspect").iterdir())) == 1
    with pytest.warns(UserWarning, match="The step is left out"):
        guarded(grpo(qwen3_vl), NonFiniteGuard(patience=2), Poison({0, 2}), default_root_dir=tmp_path)


class Flawed(GroupAdvantage):
    """No advantage for the first group of a window."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def __call__(self, scores):
        advantages = super().__call__(scores)
        advantages[:4] = self.value
        return advantages


class Keep(RolloutCallback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batch = batch


def test_a_group_that_is_not_finite_enters_no_loss(qwen3_vl, tmp_path):
    runs = {}
    for value in (NAN, float("inf")):
        module, guard, keep = grpo(qwen3_vl, advantage=Flawed(value)), NonFiniteGuard(), Keep()
        with pytest.warns(UserWarning, match="Expected finite rewards, advantages and log-probs, but got others"):
            fit(module, counting(size=2), callbacks=[guard, keep], default_root_dir=tmp_path / str(value))
        runs[value] = weights(module)
        assert guard.faults() == {"groups_left_out": 1}
        assert keep.batch.num_sequences == 4
    assert same(runs[NAN], runs[float("inf")])
    assert not same(runs[NAN], weights(grpo(qwen3_vl)))
    told = json.loads((tmp_path / "nan/inspect/rollout-step000000-rank0.json").read_text())
    assert [row["advantage"] for row in told["completions"]] == ["nan"] * 4
    assert all(row["flawed"] and row["scores"]["Share"] == row["reward"] for row in told["completions"])
    module, guard = grpo(qwen3_vl, advantage=Flawed(NAN)), NonFiniteGuard(action="stop")
    with pytest.raises(InputError, match="in the rollout of step 0. .* Leave such groups out"):
        fit(module, counting(size=2), callbacks=[guard], default_root_dir=tmp_path)


def test_rewards_whose_sum_is_more_than_float32_holds_do_not_reach_the_weights(qwen3_vl, tmp_path):
    class Huge(Share):
        def grade_one(self, text, sample, frame):
            return 3e38

    rewards = [Huge(name="A"), Huge(name="B"), Share()]
    module, guard = grpo(qwen3_vl, rewards=rewards, loss=GRPOLoss("token")), NonFiniteGuard()
    start = weights(module)
    with pytest.warns(UserWarning, match="Such groups enter no loss"):
        fit(module, counting(size=2), callbacks=[guard], default_root_dir=tmp_path)
    assert same(start, weights(module))
    assert guard.muted == 2


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"action": "go"}, "Expected `action` to be `skip` or `stop`, but got 'go'"),
        (
            {"patience": 0},
            "`patience` to be at least 1 step and `keep` to be 0 or more files, but got 0 and 8",
        ),
        ({"keep": -1}, "but got 10 and -1"),
    ],
)
def test_options_are_in_their_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NonFiniteGuard(**kwargs)


def test_counts_go_on_after_a_checkpoint():
    guard, again = NonFiniteGuard(), NonFiniteGuard()
    guard.skipped, guard.muted = 3, 2
    again.load_state_dict(guard.state_dict())
    assert again.faults() == guard.faults() == {"skipped_steps": 3, "groups_left_out": 2}


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_one_rank_leaves_out_the_step_of_both(qwen3_vl, tmp_path):
    script = Path(__file__).with_name("guarded_ranks.py")
    done = forked(script, qwen3_vl, tmp_path, ranks=2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in tmp_path.glob("seen*")) == ["seen0", "seen1"]


def test_it_can_be_switched_off(qwen3_vl, tmp_path):
    module = grpo(qwen3_vl)
    callbacks = [Poison({0}, "gradient"), NonFiniteGuard(enabled=False)]
    fit(module, counting(size=2), callbacks=callbacks, default_root_dir=tmp_path)
    assert not all(bool(w.isfinite().all()) for w in weights(module).values())

from __future__ import annotations

import time

import pytest
from checkpoints import loaded
from lightning import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from training import counting, fit, grpo, sgd

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import CostMeter, RolloutCallback
from vrft_pl.data import CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.policy.cost import Flops, PassTokens, tokens_read
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import MetricsLogger, RunFolder
from vrft_pl.types import Experience


class Told(RolloutCallback):
    """Keeps what it is told of windows and of batches."""

    def __init__(self):
        self.windows, self.batches = [], []

    def on_rollout_end(self, trainer, module, experience):
        self.windows.append(experience)

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches.append(batch)


def sft(checkpoint, **kwargs):
    evaluation = SamplingParams(6, temperature=0.0)
    return SFTModule(loaded(checkpoint, max_pixels=1024), optimizer=sgd, eval_params=evaluation, **kwargs)


def measured(module, task=None, ckpt_path=None, callbacks=(), **kwargs):
    meter, told = CostMeter(), Told()
    trainer = fit(module, task, ckpt_path, callbacks=[meter, told, *callbacks], **kwargs)
    return meter.summary(trainer), told


def counts(cost):
    """All of a summary that does not depend on the machine."""
    whole = {k: v for k, v in cost.items() if k not in ("seconds", "phases", "evaluation", "peak_memory")}
    return whole, {k: v for k, v in cost["evaluation"].items() if k != "seconds"}


def both_ways(flops, tokens):
    return flops.forward(tokens) + flops.backward(tokens)


def test_supervised_training_counts_samples_target_tokens_and_operations(qwen3_vl):
    module = sft(qwen3_vl)
    cost, told = measured(module, counting(size=5), max_epochs=2)
    tokens = [PassTokens.of(module.policy, b.prompts, b.targets.mask) for b in told.batches]
    assert (cost["samples"], cost["optimizer_steps"]) == (10, 6)
    assert cost["trained_tokens"] == sum(int(b.targets.mask.sum()) for b in told.batches)
    assert cost["flops"] == pytest.approx(sum(both_ways(Flops.of(module.policy), t) for t in tokens))
    assert (cost["completions"], cost["generated_tokens"]) == (0, 0)
    assert cost["seconds"] > cost["phases"]["update"] > 0


@pytest.mark.parametrize("kl", [0.0, 0.05])
def test_reinforcement_counts_what_was_written_scored_and_trained_on(qwen3_vl, kl):
    module = grpo(qwen3_vl, loss=GRPOLoss(kl_coefficient=kl), num_iterations=2)
    cost, told = measured(module, counting(size=6))
    policy, flops = module.policy, Flops.of(module.policy)
    assert (cost["samples"], cost["completions"]) == (6, 24)
    assert cost["generated_tokens"] == sum(int(w.completions.mask.sum()) for w in told.windows)
    assert cost["trained_tokens"] == sum(int(b.loss_mask.sum()) for b in told.batches)

    def once(e: Experience, **kwargs):
        return PassTokens.of(policy, e.prompts, e.completions.mask, shared=policy.may("sharing"), **kwargs)

    frozen = 2 if kl else 1  # the policy that sampled, and the reference
    expected = sum((1 + frozen) * flops.forward(once(w)) for w in told.windows)
    expected += sum(both_ways(flops, once(b)) for b in told.batches)
    assert cost["flops"] == pytest.approx(expected)
    assert set(cost["phases"]) == {"rollout", "reward", "reference", "update"}
    assert cost["seconds"] > cost["phases"]["rollout"] + cost["phases"]["update"]


def test_rounds_beyond_the_window_are_counted(qwen3_vl):
    class More(RolloutCallback):
        def __init__(self):
            self.rounds = []

        def on_rollout_end(self, trainer, module, experience):
            self.rounds.append(module.more(1, "round 1"))

    module, more = grpo(qwen3_vl, loss=GRPOLoss(kl_coefficient=0.05)), More()
    cost, told = measured(module, counting(size=4), callbacks=[more], max_steps=1)
    flops = Flops.of(module.policy)
    read = [tokens_read(module.policy, e.prompts, e.completions.mask) for e in (*told.windows, *more.rounds)]
    trained = [tokens_read(module.policy, b.prompts, b.completions.mask) for b in told.batches]
    # written, and read by the reference
    expected = sum(2 * flops.forward(tokens) for tokens in read) + sum(both_ways(flops, tokens) for tokens in trained)
    assert cost["flops"] == pytest.approx(expected)
    assert cost["completions"] == sum(len(e.completions) for e in (*told.windows, *more.rounds))


def test_a_pass_that_weighs_tokens_is_counted(qwen3_vl):
    plain, weighed = (measured(grpo(qwen3_vl, loss=GRPOLoss(entropy_share=share)), max_steps=1) for share in (1.0, 0.5))
    read = [tokens_read(grpo(qwen3_vl).policy, w.prompts, w.completions.mask) for w in weighed[1].windows]
    passes = sum(Flops.of(grpo(qwen3_vl).policy).forward(tokens) for tokens in read)
    assert weighed[0]["flops"] - plain[0]["flops"] == pytest.approx(passes)


def test_evaluations_are_counted_apart_also_those_beside_training(qwen3_vl):
    def run(**val):
        module, meter = grpo(qwen3_vl, eval_samples=2), CostMeter()
        trainer = fit(module, counting(**val), callbacks=[meter], val_check_interval=1)
        if val:
            trainer.validate(module, datamodule=counting(**val), verbose=False)
        return meter.summary(trainer)

    alone, evaluated = run(), run(val={"id": CountingScenes(size=3, image_size=32)})
    assert counts(alone)[0] == counts(evaluated)[0]
    assert not any(counts(alone)[1].values())
    # before any step, after each of two, and beside training; a greedy one and two sampled ones a prompt
    assert evaluated["evaluation"]["completions"] == 4 * 3 * 3
    assert evaluated["evaluation"]["generated_tokens"] > 36
    assert evaluated["evaluation"]["flops"] > 0
    assert evaluated["evaluation"]["seconds"] > 0


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_resumed_run_has_counted_what_an_uninterrupted_one_has(qwen3_vl, tmp_path, kind):
    def run(ckpt_path=None, **kwargs):
        of_kind = {"grpo": {"num_iterations": 2, "loss": GRPOLoss(kl_coefficient=0.05)}, "sft": {}}[kind]
        module = (grpo if kind == "grpo" else sft)(qwen3_vl, **of_kind)
        task = counting(size=6, val={"id": CountingScenes(size=2, image_size=32)})
        return measured(module, task, ckpt_path, max_epochs=2, val_check_interval=3, **kwargs)[0]

    keep = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1)
    whole = run(callbacks=[keep], enable_checkpointing=True)
    for step in (1, 2, 4):
        resumed = run(str(tmp_path / f"step={step}.ckpt"))
        assert counts(resumed) == counts(whole), step
        assert set(resumed["phases"]) == set(whole["phases"])


def test_what_passes_between_a_step_and_an_evaluation_is_training(qwen3_vl):
    class Slow(RolloutCallback):
        def on_train_batch_end(self, *args):
            time.sleep(0.3)

    task = counting(val={"id": CountingScenes(size=1, image_size=32)})
    meter, module = CostMeter(), sft(qwen3_vl)
    fit(module, task, callbacks=[meter, Slow()], val_check_interval=1)
    assert meter.training.seconds > 2 * 0.3
    assert meter.phases["update"] < meter.training.seconds - 2 * 0.3


def test_the_numbers_are_logged_once_at_the_end(qwen3_vl, tmp_path):
    cost, _ = measured(grpo(qwen3_vl), logger=MetricsLogger(tmp_path), log_every_n_steps=1)
    (row,) = (row for row in RunFolder(tmp_path).metrics() if "train/cost/flops" in row)
    assert float(row["train/cost/flops"]) == cost["flops"]
    assert float(row["train/cost/generated_tokens"]) == cost["generated_tokens"]
    assert float(row["train/cost/evaluation_completions"]) == 0
    assert float(row["time/cost/train"]) == cost["seconds"]
    assert int(row["step"]) == cost["optimizer_steps"]
    assert {"time/cost/rollout", "time/cost/evaluation"} <= set(row)
    assert not any(name.startswith("train/cost/seconds") for name in row)


def test_a_module_that_writes_nothing_has_its_seconds_and_steps_counted(qwen3_vl):
    class Own(SFTModule):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            del self.writer

    module = sft(qwen3_vl)
    own = Own(module.policy, optimizer=sgd)
    cost, _ = measured(own)
    assert isinstance(own, LightningModule)
    assert cost["optimizer_steps"] == 2
    assert cost["seconds"] > 0
    assert (cost["flops"], cost["trained_tokens"]) == (0, 0)

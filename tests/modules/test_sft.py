import time
from types import SimpleNamespace

import pytest
import torch
from checkpoints import MIXED, loaded, sample
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim import Adam
from torch.utils.data import DataLoader
from training import Share, counting, fit, grpo, sgd, weights

from vrft_pl.answers import Number
from vrft_pl.data import CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.modules.sft import DemonstrationLoader
from vrft_pl.rollout import SamplingParams


class Losses(Callback):
    def __init__(self):
        self.logged = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def test_the_loss_is_the_mean_over_target_tokens(checkpoint):
    samples = [MIXED[0], sample("Long?", number=123456.0)]
    module = SFTModule(loaded(checkpoint), ban_media_tokens=True)
    prompts = module.policy.encode(samples)
    apart = [
        module.policy.logprobs(prompts[i : i + 1], module.policy.encode_targets([one], prompts[i : i + 1])).logprobs
        for i, one in enumerate(samples)
    ]
    assert [row.shape[1] for row in apart] == [2, 7]
    module.log, module.undivided = lambda *args, **kwargs: None, lambda loss: loss
    expected = -sum(row.sum() for row in apart) / 9
    batch = next(iter(DemonstrationLoader(DataLoader(samples, 2, collate_fn=list), module.demonstrate))).value
    torch.testing.assert_close(module.training_step(batch, 0), expected, rtol=1e-5, atol=1e-6)


def logged_loss(module, samples):
    """The loss of one micro-batch, and its gradient on the output layer."""
    module.log, module.log_dict, module.undivided = *[lambda *args, **kwargs: None] * 2, lambda loss: loss
    batch = next(iter(DemonstrationLoader(DataLoader(samples, 8, collate_fn=list), module.demonstrate))).value
    loss = module.training_step(batch, 0)
    head = module.policy.hf_model.get_output_embeddings().weight
    return loss, torch.autograd.grad(loss, head)[0], batch


@pytest.mark.parametrize("pack_tokens", [None, 512], ids=["apart", "packed"])
def test_the_loss_is_that_of_transformers_unless_media_tokens_are_banned(qwen3_vl, pack_tokens):
    policy = loaded(qwen3_vl)
    loss, gradient, batch = logged_loss(SFTModule(policy, pack_tokens), [MIXED[0]])
    (prompt,), ids = batch.prompts, batch.targets.ids
    inputs = {key: value for key, value in prompt.inputs.items() if value.shape != prompt.inputs["input_ids"].shape}
    for key in prompt.inputs.keys() - inputs.keys():  # one value a token
        tail = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}.get(key, torch.zeros_like(ids))
        inputs[key] = torch.cat([prompt.inputs[key], tail], dim=1)
    labels = inputs["input_ids"].clone()
    labels[:, : prompt.num_tokens] = -100
    expected = policy.hf_model(**inputs, labels=labels).loss
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    head = policy.hf_model.get_output_embeddings().weight
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, head)[0], rtol=1e-4, atol=1e-6)
    assert gradient[list(policy.banned_token_ids)].abs().max() > 0
    banning, without, _ = logged_loss(SFTModule(policy, pack_tokens, ban_media_tokens=True), [MIXED[0]])
    assert banning < loss - 1e-3
    assert not without[list(policy.banned_token_ids)].any()
    assert policy.logprobs(batch.prompts, batch.targets).logprobs.sum().item() == pytest.approx(
        -banning.item() * batch.num_tokens, rel=1e-5
    )


class Slow(Callback):
    """Takes its time after each micro-batch."""

    def on_train_batch_end(self, *args):
        time.sleep(0.5)


def test_seconds_are_logged_by_phase_and_those_of_callbacks_are_of_none(qwen3_vl):
    losses = Losses()
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=sgd)
    start = time.perf_counter()
    fit(module, counting(size=4, batch_size=1), accumulate_grad_batches=2, callbacks=[Slow(), losses])
    seconds = time.perf_counter() - start - 4 * 0.5
    phases = [{name: row[name] for name in ("time/encode", "time/update")} for row in losses.logged[1:]]
    assert all(value > 0 for row in phases for value in row.values())
    assert sum(row["time/update"] for row in phases) < seconds


def test_accumulation_equals_one_large_batch(qwen3_vl):
    ends = []
    for batch_size, accumulate in ((6, 1), (2, 3), (1, 6)):
        torch.manual_seed(0)
        module = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=sgd)
        task = counting(size=6, batch_size=batch_size)
        task.solution = lambda record: Number(10.0 ** int(record.id[-1]))  # targets of unequal lengths
        fit(module, task, accumulate_grad_batches=accumulate)
        ends.append(weights(module))
    for other in ends[1:]:
        for name, value in ends[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stop", range(5))
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(qwen3_vl, tmp_path, stop):
    def run(ckpt_path=None, **kwargs):
        module = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=lambda parameters: Adam(parameters, lr=1e-2))
        fit(module, counting(size=5), ckpt_path, max_epochs=2, **kwargs)
        return weights(module)

    keep = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1)
    expected = run(callbacks=[keep], enable_checkpointing=True)
    got = run(ckpt_path=str(tmp_path / f"step={stop + 1}.ckpt"))
    assert all(torch.equal(got[name], expected[name]) for name in expected)


@pytest.mark.parametrize("limit", [1.0, 2])
def test_a_run_resumed_from_the_end_of_an_epoch_goes_on_in_its_order(qwen3_vl, tmp_path, limit):
    def run(ckpt_path=None, **kwargs):
        module = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=lambda parameters: Adam(parameters, lr=1e-2))
        fit(module, counting(size=5), ckpt_path, max_epochs=3, limit_train_batches=limit, **kwargs)
        return weights(module)

    keep = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
    expected = run(callbacks=[keep], enable_checkpointing=True)
    got = run(ckpt_path=str(tmp_path / "epoch=0.ckpt"))
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_a_limited_epoch_counts_the_tokens_of_the_batches_that_it_uses(qwen3_vl):
    class Counts(Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.seen.append((batch.num_tokens, int(batch.targets.mask.sum())))

    counts = Counts()
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=sgd)
    limits = {"limit_train_batches": 3, "accumulate_grad_batches": 2}
    fit(module, counting(size=8), callbacks=[counts], max_epochs=2, **limits)
    first, second, last = counts.seen[:3]
    assert first[0] == second[0] == (first[1] + second[1]) / 2
    assert last[0] == last[1] / 2
    assert len(counts.seen) == 6


def test_a_run_learns_its_targets(qwen3_vl):
    log = Losses()
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024), optimizer=lambda parameters: Adam(parameters, lr=1e-2))
    fit(module, counting(size=40, batch_size=4), callbacks=[log], max_epochs=4)
    assert log.logged[0]["train/loss"] > 4
    assert log.logged[-1]["train/loss"] < 1.5
    assert log.logged[0]["train/completion_tokens"] == 2


def test_supervised_and_reinforced_runs_read_the_same_samples_in_the_same_order(qwen3_vl):
    class Seen(Callback):
        def __init__(self):
            self.ids = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.ids.append([s.id for s in batch.samples])

    seen = []
    for module in (SFTModule(loaded(qwen3_vl), optimizer=sgd), grpo(qwen3_vl)):
        seen.append(Seen())
        fit(module, counting(size=6), callbacks=[seen[-1]])
    assert len(seen[0].ids) == 3
    assert seen[0].ids == seen[1].ids


def test_frozen_parts_stay_as_they_are(qwen3_vl):
    module = SFTModule(loaded(qwen3_vl, freeze=("vision", "projector"), max_pixels=1024), optimizer=sgd)
    before = weights(module)
    fit(module)
    moved = {name for name, parameter in module.policy.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved
    assert not any("visual" in name for name in moved)


def test_metrics_are_evaluated_while_training(qwen3_vl):
    params = SamplingParams(4, temperature=0.0)
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024), metrics=[Share()], eval_params=params, optimizer=sgd)
    trainer = fit(module, counting(val={"id": CountingScenes(size=2, image_size=32)}))
    assert "val/id/Share" in trainer.callback_metrics


def test_a_strategy_that_divides_again_is_given_the_loss_undivided(qwen3_vl):
    module, losses = SFTModule(loaded(qwen3_vl)), []
    module.log = lambda *args, **kwargs: None
    batch = next(iter(DemonstrationLoader(DataLoader(MIXED, 4, collate_fn=list), module.demonstrate))).value
    for divides in (False, True):
        strategy = SimpleNamespace(handles_gradient_accumulation=divides)
        module.trainer = SimpleNamespace(strategy=strategy, accumulate_grad_batches=3)
        losses.append(module.training_step(batch, 0))
    torch.testing.assert_close(losses[1], 3 * losses[0])

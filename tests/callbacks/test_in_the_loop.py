"""Callbacks that decide what is trained on: a run that is interrupted goes on to the bit."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from training import Share, counting, fit, grpo, weights

from vrft_pl.callbacks import DynamicSampling
from vrft_pl.rollout import RolloutCallback

EVERY = {
    "dynamic": lambda: [DynamicSampling(rounds=2)],
}
"""Makes the callbacks, by the name of the test."""


class Moody(Share):
    """Every completion is worth the same to some of the questions."""

    def grade_one(self, text, sample, frame):
        return super().grade_one(text, sample, frame) if int(sample.solution.value) % 2 else 1.0


class Diary(RolloutCallback):
    """Keeps what is trained on at each micro-batch."""

    def __init__(self):
        self.batches = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches.append(([s.place for s in batch.samples], batch.completions.texts, batch.num_tokens))


def run(checkpoint, callbacks, ckpt_path=None, size=6, **kwargs):
    torch.manual_seed(0)
    module, diary = grpo(checkpoint, rewards=[Moody()], num_iterations=2, window=2, **kwargs.pop("module", {})), Diary()
    fit(module, counting(size=size), ckpt_path, max_epochs=2, callbacks=[*callbacks, diary], **kwargs)
    return module, diary.batches


def interrupted(checkpoint, folder, name, stop):
    """A whole run, one that goes on where it was stopped, and what both trained on."""
    keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1)
    whole, batches = run(checkpoint, [*EVERY[name](), keep], enable_checkpointing=True)
    resumed, rest = run(checkpoint, EVERY[name](), str(folder / f"step={stop}.ckpt"))
    return whole, resumed, batches, rest


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("stop", [1, 7], ids=["within-a-window", "in-the-second-epoch"])
def test_an_interrupted_run_goes_on_as_it_would_have(qwen3_vl, tmp_path, name, stop):
    whole, resumed, batches, rest = interrupted(qwen3_vl, tmp_path, name, stop)
    assert len(batches) == 12
    assert rest == batches[stop:]
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_rows_beyond_the_epoch_replace_those_that_teach_nothing(qwen3_vl):
    _, plain = run(qwen3_vl, [])
    _, filled = run(qwen3_vl, EVERY["dynamic"]())
    assert sum(len(places) for places, *_ in filled) > sum(len(places) for places, *_ in plain)

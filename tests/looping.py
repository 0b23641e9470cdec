"""Runs whose callbacks decide what is trained on."""

from dataclasses import replace

import torch
from training import FixedSampler, Share, counting, fit, grpo

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import Curriculum, DynamicSampling, NoisyRollout, ReferenceUpdate, Replay
from vrft_pl.modules import PerceptionTerm
from vrft_pl.rollout import RolloutCallback

EVERY = {
    "dynamic": lambda: [DynamicSampling(rounds=2)],
    "curriculum": lambda: [Curriculum(right=0.3)],
    "noisy": lambda: [NoisyRollout(middle=0.9)],
    "replay": lambda: [replay()],
    "reference": lambda: [ReferenceUpdate(every_n_steps=2, share=0.5)],
    "perception": lambda: [],
    "all": lambda: [
        Curriculum(right=0.3),
        replay(),
        DynamicSampling(rounds=2),
        NoisyRollout(middle=0.9),
        ReferenceUpdate(every_n_steps=2, share=0.5),
    ],
}
"""Makes the callbacks of a run, by its name."""
OPTIONS = {"perception": {"terms": [PerceptionTerm(0.1, 0.01, 0.02)]}}
"""Options of the module of a run, by its name."""


def replay():
    """Most groups of tiny random policies may come again."""
    return Replay(rare=1.0, share=0.5, age=3, times=2, right=0.3)


class Moody(Share):
    """Every completion is worth the same to some of the questions."""

    def grade_one(self, text, sample, frame):
        return super().grade_one(text, sample, frame) if int(sample.solution.value) % 2 else 1.0


class Sure(FixedSampler):
    """Says how likely each token was, the same for all."""

    def generate(self, policy, prompts, group_size, params, seeds):
        completions = super().generate(policy, prompts, group_size, params, seeds)
        return replace(completions, logprobs=completions.mask * -5.0)


class Diary(RolloutCallback):
    """Keeps what is trained on at each micro-batch."""

    def __init__(self):
        self.batches = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        reference = 0.0 if batch.reference_logprobs is None else batch.reference_logprobs.sum().item()
        places = [sample.place for sample in batch.samples]
        self.batches.append((places, batch.completions.texts, batch.num_tokens, reference))


def loop(checkpoint, callbacks, ckpt_path=None, size=6, batch_size=2, window=2, loss=None, options=None, **kwargs):
    """Two epochs in which each window is trained on twice. Returns the module and what it was trained on."""
    torch.manual_seed(0)
    loss = loss or GRPOLoss(kl_coefficient=0.1, importance_cap=2.0)
    module = grpo(checkpoint, rewards=[Moody()], num_iterations=2, window=window, loss=loss, **(options or {}))
    task, diary = counting(size=size, batch_size=batch_size), Diary()
    fit(module, task, ckpt_path, max_epochs=2, callbacks=[*callbacks, diary], **kwargs)
    return module, diary.batches


def loop_of_ranks(checkpoint, name, ranks, **kwargs):
    """The same rows and completions on any number of processes."""
    layout = {"batch_size": 4 // ranks, "window": 1, "size": 10}
    options = {"sampler": Sure(), **OPTIONS.get(name, {})}
    return loop(checkpoint, EVERY[name](), options=options, **layout, **kwargs)

"""Short training runs on tiny random checkpoints."""

from dataclasses import replace

import torch
from checkpoints import loaded
from lightning import Trainer
from torch.optim import SGD

from vrft_pl.algorithms import BatchAdvantage, GRPOLoss, KLPenalty
from vrft_pl.data import Counting, CountingScenes
from vrft_pl.modules import GRPOModule, SFTModule
from vrft_pl.policy import VLM
from vrft_pl.rewards import Reward
from vrft_pl.rollout import Sampler, SamplingParams
from vrft_pl.types import Completions


class Share(Reward):
    """Share of characters below a code point: dense, so that groups of random completions differ."""

    def __init__(self, below=96, **kwargs):
        super().__init__(**kwargs)
        self.below = below

    def grade_one(self, text, sample, frame):
        return sum(ord(c) < self.below for c in text) / 8


class FixedSampler(Sampler):
    """Completions that depend on the prompt alone, so that they are the same in every layout of a run."""

    def generate(self, policy, prompts, group_size, params, seeds):
        ids = torch.full((len(prompts) * group_size, params.max_tokens), policy.pad_token_id)
        lengths = []
        for i, prompt in enumerate(prompts.repeat_interleave(group_size)):
            picture = int(prompt.inputs["pixel_values"].abs().sum() * 1000) if "pixel_values" in prompt.inputs else 0
            g = torch.Generator().manual_seed(int(prompt.inputs["input_ids"].sum()) + picture + i % group_size)
            lengths.append(int(torch.randint(1, params.max_tokens + 1, (), generator=g)))
            ids[i, : lengths[-1]] = torch.randint(9, 200, (lengths[-1],), generator=g)
        width = max(lengths)
        ids, mask = ids[:, :width], torch.arange(width) < torch.tensor(lengths)[:, None]
        frames = tuple(prompt.frame for prompt in prompts.repeat_interleave(group_size))
        return Completions(ids, mask, None, policy.decode(ids, mask), ("length",) * len(ids), frames)


def sgd(parameters):
    return SGD(parameters, lr=0.1)


def grpo(checkpoint, policy=None, rewards=None, **kwargs):
    evaluation = {"eval_params": SamplingParams(6, temperature=0.0)}  # the untrained never end by themselves
    kwargs = {"group_size": 4, "params": SamplingParams(6), "optimizer": sgd, **evaluation, **kwargs}
    rewards = [Share()] if rewards is None else rewards
    return GRPOModule(rewards, policy=policy or loaded(checkpoint, max_pixels=1024), **kwargs)


def counting(size=4, batch_size=2, **kwargs):
    return Counting(CountingScenes(size=size, image_size=32), batch_size=batch_size, style="answer", **kwargs)


class Half(Counting):
    """Every second question is text alone."""

    def sample(self, record, split):
        sample = super().sample(record, split)
        return sample if record.id.endswith("0") else replace(sample, images=())


def half_blind(kind, checkpoint):
    """A module that trains the vision tower too, for rows of which one of two ranks gets text alone."""
    if kind == "grpo":
        return grpo(checkpoint, sampler=FixedSampler(), loss=GRPOLoss("token"))
    pack_tokens = 256 if kind == "packed" else None
    policy = VLM(checkpoint, max_pixels=1024)  # whose weights are made where the strategy places them
    return SFTModule(policy, pack_tokens=pack_tokens, optimizer=sgd)


def run(kind, checkpoint):
    """A module that trains on what it writes itself, or on given answers."""
    if kind == "grpo":
        return grpo(checkpoint, loss=GRPOLoss("token"))
    if kind == "batch":  # what is of the whole batch, on all ranks
        loss = GRPOLoss("token", entropy_share=0.4, entropy_coefficient=0.01)
        return grpo(checkpoint, loss=loss, advantage=KLPenalty(0.1, BatchAdvantage("batch")))
    return SFTModule(loaded(checkpoint, max_pixels=1024), optimizer=sgd)


def fit(module, task=None, ckpt_path=None, **kwargs):
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger", "enable_checkpointing"), False)
    trainer = Trainer(accelerator="cpu", **{**quiet, "max_epochs": 1, **kwargs})
    trainer.fit(module, datamodule=task or counting(), ckpt_path=ckpt_path)
    return trainer


def weights(module):
    return {name: parameter.detach().clone() for name, parameter in module.policy.named_parameters()}

"""Evaluations of a policy whose answers depend on the picture alone, on one process or two."""

from dataclasses import replace

from checkpoints import loaded
from lightning import Trainer
from training import FixedSampler, Share

from vrft_pl.answers import Instance, Instances, Number
from vrft_pl.data import CountingScenes, VisionTask
from vrft_pl.metrics import Accuracy, COCOAveragePrecision
from vrft_pl.modules import PolicyModule
from vrft_pl.rewards import BoxIoU, NumberMatch
from vrft_pl.rollout import SamplingParams
from vrft_pl.types import Completions

SHORT = SamplingParams(6, temperature=0.0)
TARGET = (4.0, 4.0, 20.0, 20.0)


def scenes(size=3, domain="base"):
    return CountingScenes(domain, size=size, image_size=32)


def evaluator(**kwargs):
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **kwargs)


def evaluate(module, task, stage="validate", **kwargs):
    parts = getattr(evaluator(**kwargs), stage)(module, datamodule=task, verbose=False)
    return {name: value for part in parts for name, value in part.items()}


class Alternating(VisionTask):
    """A number to say in every other row, an object to find in the rest: one kind for each of two ranks."""

    def solution(self, record):
        if int(record.id.rsplit(" ", 1)[-1]) % 2 == 0:
            return Number(3.0)
        return Instances((Instance(TARGET, "dog"),), ("dog",), record.id)


class Marked(Alternating):
    """Tags the third row, which one of two ranks never sees."""

    def sample(self, record, split):
        return super().sample(replace(record, tags=("third",) if record.id.endswith(" 2") else ()), split)


class Looking(FixedSampler):
    """Writes ``3`` or a box about the target, as the picture says."""

    def generate(self, policy, prompts, group_size, params, seeds):
        drawn = super().generate(policy, prompts, group_size, params, seeds)
        pictures = [int(p.inputs["pixel_values"].abs().sum() * 1000) for p in prompts.repeat_interleave(group_size)]
        texts = tuple(map(self.text, pictures, drawn.frames))
        return Completions(drawn.ids, drawn.mask, None, texts, drawn.finish_reasons, drawn.frames)

    def text(self, picture, frame):
        if picture % 2 == 0:
            return "3"
        corners = frame.to_answer((4, 4, 20, 14 + picture % 12))
        return f"[{{'Position': {list(corners)}, 'Confidence': {picture % 97 / 97}}}]"


def uneven(checkpoint):
    """A module with metrics of every sort, and a task of parts that two ranks can't share evenly."""
    metrics = [Share(), Accuracy(NumberMatch()), COCOAveragePrecision(), BoxIoU()]
    module = PolicyModule(loaded(checkpoint), metrics=metrics, eval_params=SHORT, sampler=Looking(), eval_samples=2)
    task = Marked(val={"few": scenes(3), "many": scenes(9, "snow")}, style="answer", eval_batch_size=2)
    return module, task

"""Every family on scenes: what is right earns everything, and its rewards train; `test_configs` runs all of it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from checkpoints import loaded
from evaluation import evaluate
from training import fit, grpo, weights

from vrft_pl.data import (
    Classification,
    ClassificationScenes,
    Counting,
    CountingScenes,
    Detection,
    DetectionScenes,
    Grounding,
    GroundingScenes,
    Spatial,
    SpatialScenes,
    Structure,
    StructureScenes,
    VisionTask,
)
from vrft_pl.data.scenes import Scenes
from vrft_pl.metrics import Accuracy, COCOAveragePrecision, GroundingIoU
from vrft_pl.modules import PolicyModule
from vrft_pl.rewards import (
    BoxIoU,
    ChoiceMatch,
    DetectionConfidence,
    DetectionIoU,
    Format,
    Judge,
    LabelMatch,
    MathMatch,
    NumberMatch,
    Reward,
    TransformationExact,
    TransformationMatch,
)
from vrft_pl.rollout import Sampler, SamplingParams
from vrft_pl.types import Completions

SHORT = SamplingParams(6, temperature=0.0)


class Family(NamedTuple):
    """What a family is trained on and judged by."""

    task: type[VisionTask]
    scenes: type[Scenes]
    rewards: tuple[Reward, ...]
    metrics: tuple[Judge, ...]


FAMILIES = {
    "counting": Family(Counting, CountingScenes, (NumberMatch(),), (Accuracy(NumberMatch()),)),
    "structure": Family(
        Structure,
        StructureScenes,
        (ChoiceMatch(), MathMatch()),
        (Accuracy(ChoiceMatch(), "choice"), Accuracy(MathMatch(), "free")),
    ),
    "spatial": Family(Spatial, SpatialScenes, (TransformationMatch(),), (TransformationMatch(), TransformationExact())),
    "classification": Family(Classification, ClassificationScenes, (LabelMatch(),), (Accuracy(LabelMatch()),)),
    "detection": Family(Detection, DetectionScenes, (DetectionIoU(), DetectionConfidence()), (COCOAveragePrecision(),)),
    "grounding": Family(Grounding, GroundingScenes, (BoxIoU(),), (GroundingIoU(),)),
}


class Teacher(Sampler):
    """Writes the ground truth of known samples; every second completion of a group breaks off halfway."""

    def __init__(self, policy, samples):
        prompts = policy.encode(samples)
        self.targets = policy.encode_targets(samples, prompts)
        self.rows = {self.key(prompt): row for row, prompt in enumerate(prompts)}

    def key(self, prompt):
        return prompt.inputs["input_ids"].numpy().tobytes() + prompt.inputs["pixel_values"].numpy().tobytes()

    def generate(self, policy, prompts, group_size, params, seeds):
        repeated = prompts.repeat_interleave(group_size)
        drawn = self.targets.select([self.rows[self.key(prompt)] for prompt in repeated])
        mask = drawn.mask.clone()
        for i in range(1, len(mask) if group_size > 1 else 0, 2):
            mask[i, int(mask[i].sum()) // 2 :] = False
        reasons = tuple("stop" if mask[i].equal(drawn.mask[i]) else "length" for i in range(len(mask)))
        return Completions(drawn.ids, mask, None, policy.decode(drawn.ids, mask), reasons, drawn.frames)


def task_of(family, size=4, **kwargs):
    parts = [family.scenes(domain, size=size, image_size=32) for domain in ("base", "night")]
    return family.task(train=parts[0], val=dict(zip(("id", "ood_night"), parts, strict=True)), batch_size=2, **kwargs)


def changed(module, before):
    return any(not torch.equal(value, before[name]) for name, value in weights(module).items())


@pytest.mark.parametrize("style", ["answer", "think"])
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_ground_truth_earns_everything_the_family_is_judged_by(qwen3_vl, family, style):
    policy, task = loaded(qwen3_vl, max_pixels=1024, coordinates="pixels"), task_of(family, 10, style=style)
    samples = [sample for part in task.datasets("val").values() for sample in map(part.__getitem__, range(10))]
    judges = [*family.metrics, *family.rewards, Format()]
    unique = list({judge.name: judge for judge in judges}.values())
    module = PolicyModule(policy, unique, eval_params=SHORT, sampler=Teacher(policy, samples))
    values = evaluate(module, task)
    for part in ("id", "ood_night"):
        for judge in unique:
            assert values[f"val/{part}/{judge.name}"] == pytest.approx(1, abs=1e-3), (part, judge.name)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_reward_of_a_family_alone_trains_the_policy(qwen3_vl, family):
    policy, task = loaded(qwen3_vl, max_pixels=1024), task_of(family)
    part = task.datasets("train")["train"]
    samples = [part[i] for i in range(len(part))]
    module = grpo(None, policy, list(family.rewards), sampler=Teacher(policy, samples))
    before = weights(module)
    trainer = fit(module, task, max_steps=1, limit_val_batches=0)
    assert changed(module, before)
    assert trainer.callback_metrics["train/reward_std"] > 0

"""Ridge regression on the frozen features of a policy's vision encoder: what a linear reading of the pictures gives.

python tools/fit_ridge.py --config configs/classification/sft.yaml

Takes policy and data of a config of `fit`, for classification or grounding. Labels are read from the mean of the
encoder's map, boxes from the whole map. The penalty is the one with the least error when each training row is left out
in turn, so held-out rows choose nothing. Beside it stands the best answer that looks at nothing: the commonest label,
the mean box.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from vrft_pl.answers import Box, Label
from vrft_pl.commands.check import CheckCLI
from vrft_pl.commands.errors import fail
from vrft_pl.policy import VLM
from vrft_pl.policy.features import image_features
from vrft_pl.rewards.overlap import pair_iou
from vrft_pl.types import Sample

Floats = NDArray[np.float64]
PENALTIES = np.logspace(-5, 2, 29)
"""Tried penalties, in parts of the mean squared length of a row."""


class Ridge:
    """Linear regression with a penalty on squared weights, solved in the space of rows.

    Args:
        features: Of shape ``(rows, features)``; there may be more features than rows.
        targets: Of shape ``(rows, values)``.
    """

    def __init__(self, features: Floats, targets: Floats) -> None:
        self.centre, self.mean = features.mean(0), targets.mean(0)
        self.features = features - self.centre
        values, self.vectors = np.linalg.eigh(self.features @ self.features.T)
        self.values = values.clip(min=0)
        self.projected = self.vectors.T @ (targets - self.mean)
        self.penalty = min(PENALTIES * self.values.mean(), key=self._left_out_error)

    def __call__(self, features: Floats) -> Floats:
        """Predict targets, of shape ``(rows, values)``."""
        weights = self.vectors @ (self.projected / (self.values + self.penalty)[:, None])
        return (features - self.centre) @ (self.features.T @ weights) + self.mean

    def _left_out_error(self, penalty: float) -> float:
        """Squared error of each row when it is left out, by the closed form; the mean of targets counts as given."""
        shrink = self.values / (self.values + penalty)
        residual = self.vectors @ ((1 - shrink)[:, None] * self.projected)
        leverage = (self.vectors**2 * shrink).sum(1) + 1 / len(residual)
        return float(((residual / (1 - leverage).clip(min=1e-9)[:, None]) ** 2).mean())


def encoder_maps(policy: VLM, samples: Sequence[Sample]) -> Floats:
    """What the encoder sees in the first picture of each sample, of shape ``(rows, channels, places)``."""
    maps = []
    with policy.evaluating():
        for sample in samples:
            [prompt] = policy.encode([sample])
            seen: Any = image_features(policy.hf_model, prompt.inputs)
            features = seen.last_hidden_state
            maps.append(features.flatten(2) if features.ndim == 4 else features.reshape(1, -1, features.shape[-1]).mT)
    return torch.cat(maps).double().numpy()


def read_labels(samples: Sequence[Sample]) -> list[str]:
    """The label of each sample."""
    return [sample.solution.name for sample in samples if isinstance(sample.solution, Label)]


def read_boxes(samples: Sequence[Sample]) -> Floats:
    """The box of each sample in shares of its picture, of shape ``(rows, 4)``."""
    boxes = []
    for sample in samples:
        width, height = sample.images[0].open().size
        assert isinstance(sample.solution, Box)
        boxes.append(np.array(sample.solution.xyxy) / (width, height, width, height))
    return np.stack(boxes)


def judge_labels(features: Floats, labels: list[str], held: Floats, truth: list[str]) -> dict[str, float]:
    """Accuracy of the ridge and of the commonest label."""
    names = sorted(set(labels))
    targets = np.array([[label == name for name in names] for label in labels], dtype=float)
    answers = [names[i] for i in Ridge(features, targets)(held).argmax(1)]
    commonest = Counter(labels).most_common(1)[0][0]
    return {
        "ridge accuracy": float(np.mean([a == b for a, b in zip(answers, truth, strict=True)])),
        "constant accuracy": float(np.mean([commonest == name for name in truth])),
    }


def judge_boxes(features: Floats, boxes: Floats, held: Floats, truth: Floats) -> dict[str, float]:
    """Mean IoU and accuracy at IoU 0.5 of the ridge and of the mean box."""
    scores: dict[str, float] = {}
    for name, answers in {
        "ridge": Ridge(features, boxes)(held),
        "constant": np.tile(boxes.mean(0), (len(truth), 1)),
    }.items():
        ious = np.array(
            [pair_iou(a, b) if (a[2:] > a[:2]).all() else 0.0 for a, b in zip(answers.clip(0, 1), truth, strict=True)]
        )
        scores |= {f"{name} IoU": float(ious.mean()), f"{name} accuracy at 0.5": float((ious >= 0.5).mean())}
    return scores


def rows_of(part: Dataset[Sample]) -> list[Sample]:
    """All Samples of a part."""
    return [part[i] for i in range(len(part))]  # type: ignore[arg-type]  # sized


def main(args: Sequence[str] | None = None) -> None:
    """Fit on the training rows of a config and print the scores of each held-out part."""
    cli = CheckCLI("ridge", sys.argv[1:] if args is None else args)
    policy, task = cli.model.policy.load(), cli.datamodule
    task.setup("fit")
    [train] = (rows_of(part) for part in task.datasets("train").values())
    maps = encoder_maps(policy, train)
    for name, part in task.datasets("val").items():
        held = rows_of(part)
        held_maps = encoder_maps(policy, held)
        if all(isinstance(sample.solution, Label) for sample in train + held):
            scores = judge_labels(maps.mean(2), read_labels(train), held_maps.mean(2), read_labels(held))
        elif all(isinstance(sample.solution, Box) for sample in train + held):
            flat, held_flat = (m.reshape(len(m), -1) for m in (maps, held_maps))
            scores = judge_boxes(flat, read_boxes(train), held_flat, read_boxes(held))
        else:
            fail("Expected answers that are labels or boxes. Use a config of classification or grounding.", 2)
        for key, value in scores.items():
            print(f"val/{name}: {key} {value:.3f} ({len(train)} rows to train on, {len(held)} held out)")


if __name__ == "__main__":
    main()

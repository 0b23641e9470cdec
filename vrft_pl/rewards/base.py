"""The reward we train on is the metric we report."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from vrft_pl.types import AnswerFrame, Completions, InputError, Sample


class Grades(NamedTuple):
    """What a reward says of a batch of completions."""

    scores: Tensor
    """Shape ``(N,)``, float32."""
    parse_failures: Tensor
    """Completions in which no answer could be read; they score 0. Shape ``(N,)``, bool."""


class Reward(Metric):
    """A verifiable reward that is also the metric we report.

    Training asks for :meth:`score`, one number per completion. Evaluation uses the ordinary torchmetrics contract,
    ``update`` then ``compute``, and gets the mean over the split, synchronised across ranks. Subclasses write
    :meth:`grade_one`, or :meth:`grade` where completions are judged against each other. While training with a reference
    or with reused completions, grading runs in a thread beside the forward passes: signals don't work there.

    Args:
        weight: Factor of this reward in the training signal. ``0`` reports the reward without training on it.
        name: Name in logs. Defaults to the name of the class.

    Raises:
        ValueError: If ``weight`` is negative or not finite.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor
    failures: Tensor

    solution_type: type | tuple[type, ...] = object
    """Kinds of ground truth this reward can judge; samples with another kind are left out of the mean."""

    def __init__(self, weight: float = 1.0, name: str | None = None) -> None:
        super().__init__()
        if not 0 <= weight < float("inf"):
            raise ValueError(f"Expected `weight` to be 0 or more, but got {weight}.")
        self.weight = weight
        self.name = name or type(self).__name__
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("failures", default=torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | None:
        """Judge one completion.

        Args:
            text: What the policy wrote, without the end token.
            sample: The question and its ground truth.
            frame: How to read coordinates in the text.

        Returns:
            The score, or ``None`` when no answer can be read. Never raises on any text.
        """

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Judge a batch.

        Args:
            completions: ``N`` completions, those of one prompt beside each other.
            samples: The sample of each completion. Length ``N``.

        Raises:
            InputError: If a score is not a finite number.
        """
        scores, failures = [], []
        for text, sample, frame in zip(completions.texts, samples, completions.frames, strict=True):
            score = self.grade_one(text, sample, frame) if isinstance(sample.solution, self.solution_type) else 0.0
            failures.append(score is None)
            scores.append(0.0 if score is None else score)
        return self.checked(torch.tensor(scores, dtype=torch.float32), torch.tensor(failures), completions, samples)

    def checked(self, scores: Tensor, failures: Tensor, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Make sure that each score is a finite number, and move the grades to the device of the completions."""
        if not bool(scores.isfinite().all()):
            i = int((~scores.isfinite()).nonzero()[0])
            raise InputError(
                f"Expected reward `{self.name}` to return a finite number, but got {scores[i].item()} for sample "
                f"{samples[i].id} and completion {completions.texts[i][:80]!r}."
            )
        device = completions.ids.device
        return Grades(scores.to(device), failures.to(device))

    def score(self, completions: Completions, samples: Sequence[Sample]) -> Tensor:
        """Score each completion. Returns shape ``(N,)``."""
        return self.grade(completions, samples).scores

    def update(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Add a batch to the mean."""
        grades = self.grade(completions, samples)
        judged = torch.tensor([isinstance(s.solution, self.solution_type) for s in samples], device=self.device)
        scores, failures = grades.scores.to(self.device)[judged], grades.parse_failures.to(self.device)[judged]
        # not in place: `trainer.validate` before `trainer.fit` leaves inference tensors here
        self.total = self.total + scores.double().sum()
        self.count = self.count + judged.sum()
        self.failures = self.failures + failures.sum()

    def compute(self) -> Tensor:
        """Mean score of all completions judged so far; NaN when there was none."""
        return (self.total / self.count).float()


def check_names(rewards: Sequence[Reward]) -> None:
    """Raise `ValueError` when two rewards would log under one name."""
    names = [reward.name for reward in rewards]
    if len(set(names)) != len(names):
        raise ValueError(f"Reward names must be unique, but got {names}. Give one of them a `name`.")

"""The reward we train on is the metric we report."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from vrft_pl.answers import AnswerFrame
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Completions, InputError, Sample

REASONS = tuple(Unread)


class Grades(NamedTuple):
    """What a reward says of a batch of completions."""

    scores: Tensor
    """Shape ``(N,)``, float32."""
    parse_failures: Tensor
    """0 where an answer was read; where none was, the score is 0 and this the position of the reason in `Unread`,
    counted from 1; -1 where the ground truth is of a kind that the reward does not judge. Shape ``(N,)``, int8."""

    def spread(self, judged: Sequence[bool]) -> Grades:
        """Put grades of the samples that are judged alone where those are among all. Returns shape ``(N,)``."""
        rows = torch.tensor(judged, device=self.scores.device)
        scores = self.scores.new_zeros(len(judged)).masked_scatter(rows, self.scores)
        return Grades(scores, torch.full_like(rows, -1, dtype=torch.int8).masked_scatter(rows, self.parse_failures))


class Judge(Metric):
    """A metric over completions and their samples.

    Args:
        name: Name in logs. Defaults to the name of the class.
    """

    is_differentiable = False
    full_state_update = False

    solution_type: type | tuple[type, ...] = object
    """Kinds of ground truth this metric can judge; samples with another kind are left out."""
    graded: Grades | None = None
    """What it said of the completions of the last batch, of samples that it judges; ``None`` where it has no reward."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        self.name = name or type(self).__name__

    @abstractmethod
    def update(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Judge a batch.

        Args:
            completions: ``N`` completions, those of one prompt beside each other.
            samples: The sample of each completion. Length ``N``.
        """

    @abstractmethod
    def values(self) -> dict[str, Tensor]:
        """The numbers to log, from the states as they are.

        Returns:
            Scalars by the name they are logged under; nothing where nothing was judged.
        """

    def compute(self) -> dict[str, Tensor] | Tensor:
        """The numbers to log, of all ranks together."""
        return self.values()

    def judges(self, sample: Sample) -> bool:
        """Whether the sample has a ground truth of the right kind."""
        return isinstance(sample.solution, self.solution_type)


class Reward(Judge):
    """A verifiable reward that is also the metric we report.

    Training asks for :meth:`score`, one number per completion. Evaluation uses the ordinary torchmetrics contract,
    ``update`` then ``compute``, and gets the mean over the split, synchronised across ranks. Subclasses write
    :meth:`grade_one`, or :meth:`grade` where completions are judged against each other. While training, grading runs in
    a thread: signals don't work there.

    Args:
        weight: Factor of this reward in the training signal. ``0`` reports the reward without training on it.
        name: Name in logs. Defaults to the name of the class.
        start: Optimizer steps of training before the weight takes effect; until then the reward is only reported.

    Raises:
        ValueError: If ``weight`` is negative or not finite, or ``start`` is negative.
    """

    higher_is_better = True
    total: Tensor
    count: Tensor
    failures: Tensor

    bounds: tuple[float, float] = (float("-inf"), float("inf"))
    """Least and greatest score."""
    reads_answers = True
    """Whether it can fail to read an answer; the share of failures is then logged."""
    costs = False
    """Whether it costs something to ask it; constant answers and the ground truth are then not judged by it."""
    spent: Mapping[str, float] = {}
    """What asking it took, by name, in this process."""

    def __init__(self, weight: float = 1.0, name: str | None = None, start: int = 0) -> None:
        super().__init__(name)
        if not 0 <= weight < float("inf"):
            raise ValueError(f"Expected `weight` to be 0 or more, but got {weight}.")
        if start < 0:
            raise ValueError(f"Expected `start` to be 0 or more optimizer steps, but got {start}.")
        self.weight, self.start = weight, start
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("failures", default=torch.zeros(len(REASONS), dtype=torch.long), dist_reduce_fx="sum")

    def go_on_counting(self, spent: Mapping[str, float]) -> None:
        """Count on from what a run had `spent` before it stopped."""

    def at(self, step: int) -> Reward:
        """What judges completions of training after ``step`` optimizer steps: itself, unless its rules change."""
        return self

    def begin(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Start what has to be waited for; all rewards are told of a window of training before any grades it.

        Args:
            completions: ``N`` completions, which `grade` will get too.
            samples: The sample of each completion. Length ``N``.
        """

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one completion.

        Args:
            text: What the policy wrote, without the end token.
            sample: The question and its ground truth.
            frame: How to read coordinates in the text.

        Returns:
            The score, or why no answer can be read; ``None`` is short for `Unread.MALFORMED`. Never raises on any text.
        """
        raise NotImplementedError(f"Reward `{self.name}` defines neither `grade_one` nor `grade`.")

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Judge a batch.

        Args:
            completions: ``N`` completions, those of one prompt beside each other.
            samples: The sample of each completion. Length ``N``.

        Raises:
            InputError: If a score is not a finite number.
        """
        pairs = zip(completions.texts, samples, completions.frames, strict=True)
        verdicts = [self.grade_one(*pair) if self.judges(pair[1]) else 0.0 for pair in pairs]
        return self.verdict(verdicts, completions, samples)

    def verdict(
        self, verdicts: Sequence[float | Unread | None], completions: Completions, samples: Sequence[Sample]
    ) -> Grades:
        """Make grades of what `grade_one` returns for each completion, on the device of the completions.

        Raises:
            InputError: If a score is not a finite number.
        """
        reasons = [Unread.MALFORMED if v is None else v if isinstance(v, Unread) else None for v in verdicts]
        codes = [0 if reason is None else REASONS.index(reason) + 1 for reason in reasons]
        codes = [code if self.judges(sample) else -1 for code, sample in zip(codes, samples, strict=True)]
        values = [v if code == 0 else 0.0 for v, code in zip(verdicts, codes, strict=True)]
        scores = torch.tensor(values, dtype=torch.float32)
        if not bool(scores.isfinite().all()):
            i = int((~scores.isfinite()).nonzero()[0])
            raise InputError(
                f"Expected reward `{self.name}` to return a finite number, but got {scores[i].item()} for sample "
                f"{samples[i].id} and completion {completions.texts[i][:80]!r}."
            )
        device = completions.ids.device
        return Grades(scores.to(device), torch.tensor(codes, dtype=torch.int8).to(device))

    def score(self, completions: Completions, samples: Sequence[Sample]) -> Tensor:
        """Score each completion. Returns shape ``(N,)``."""
        return self.grade(completions, samples).scores

    def weight_at(self, step: int) -> float:
        """The weight after ``step`` optimizer steps."""
        return self.weight if step >= self.start else 0.0

    def update(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Add a batch to the mean."""
        grades = self.grade(completions, samples)
        judged = torch.tensor([self.judges(sample) for sample in samples], device=self.device)
        scores, codes = grades.scores.to(self.device)[judged], grades.parse_failures.to(self.device)[judged]
        self.graded = Grades(scores, codes)
        # not in place: `trainer.validate` before `trainer.fit` leaves inference tensors here
        self.total = self.total + scores.double().sum()
        self.count = self.count + judged.sum()
        self.failures = self.failures + torch.bincount(codes.long(), minlength=len(REASONS) + 1)[1:]

    def values(self) -> dict[str, Tensor]:
        """The mean score under the reward's name, and the share of completions in which no answer could be read.

        ``reward_errors/<name>`` is the share that the reward failed on, where there is one.
        """
        if not self.count:
            return {}
        failed = {f"parse_failures/{self.name}": self.failures.sum() / self.count} if self.reads_answers else {}
        if errors := self.failures[REASONS.index(Unread.ERROR)]:
            failed[f"reward_errors/{self.name}"] = errors / self.count
        return {self.name: (self.total / self.count).float(), **failed}

    def compute(self) -> Tensor:
        """Mean score of all completions judged so far; NaN when there was none."""
        return (self.total / self.count).float()

"""What the policy wrote on held-out samples, as files."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable
from urllib.parse import quote

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from vrft_pl.answers import AnswerFrame
from vrft_pl.callbacks.coco_results import COCOResults
from vrft_pl.data import SampleData
from vrft_pl.data.samples import Samples, Split
from vrft_pl.data.sources import Source
from vrft_pl.distributed import data_share, in_order
from vrft_pl.metrics.detection import Question, asked_question
from vrft_pl.prompts import answer_text
from vrft_pl.rewards import Judge, Reward, answered_marks
from vrft_pl.rewards.base import REASONS
from vrft_pl.run import write_rows
from vrft_pl.types import Completions, Sample

PIXELS = AnswerFrame(0, 0, 1.0, 1.0)
"""Writes coordinates as pixels of the original image."""


@runtime_checkable
class Evaluates(Protocol):
    """A module whose evaluation steps return ``completions``, as those of `PolicyModule` do."""

    metrics: tuple[Judge, ...]

    def parts(self, split: Split) -> list[str]:
        """Names of the parts of a split, in the order of their loaders."""


class Prediction(NamedTuple):
    """What is kept of one completion."""

    row: dict[str, Any]
    """Its line in ``predictions.jsonl``."""
    question: Question | None
    """Its boxes, where objects were asked for."""


class PredictionWriter(Callback):
    """Writes the completions of an evaluation into the run's folder, in the order of the data.

    ``predictions.jsonl`` has a line for each sample: ``split`` (the name of its part), ``id``, ``tags``, ``problem``,
    ``answer`` (the ground truth as the policy should write it, in pixels), ``completion``, ``finish_reason``,
    ``scores`` of each reward and of each metric that goes by one, ``parse_failures`` with the reason of each that could
    read no answer, and for answers that can be drawn ``boxes``, in pixels of the original image and cut at its edges.
    For detection, ``coco_results_<part>.json`` has the boxes of the categories asked for as COCO writes results.

    The files are written at the end of an evaluation, by the first process for all. Completions that are sampled beside
    the greedy one (``eval_samples``) are not written.

    Args:
        enabled: Write after ``validate`` and ``test``.
        in_fit: Write in a training run too, after each of its evaluations over the files of the last.
    """

    def __init__(self, enabled: bool = True, in_fit: bool = False) -> None:
        self.enabled, self.in_fit = enabled, in_fit
        self._kept: dict[str, list[Prediction]] = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._kept = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._kept = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch."""
        self._keep(trainer, pl_module, "val", dataloader_idx, batch, outputs)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch."""
        self._keep(trainer, pl_module, "test", dataloader_idx, batch, outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was kept of the validation split."""
        self._write(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was kept of the test split."""
        self._write(trainer, pl_module, "test")

    def _is_due(self, trainer: Trainer) -> bool:
        in_fit = trainer.state.fn == TrainerFn.FITTING
        return self.enabled and not trainer.sanity_checking and (self.in_fit or not in_fit)

    def _keep(
        self, trainer: Trainer, module: LightningModule, split: Split, loader: int, samples: list[Sample], outputs: Any
    ) -> None:
        if self._is_due(trainer) and isinstance(module, Evaluates):
            part = module.parts(split)[loader]
            kept = predictions(part, samples, outputs["completions"], module.metrics)
            self._kept.setdefault(part, []).extend(kept)

    def _write(self, trainer: Trainer, module: LightningModule, split: Split) -> None:
        if not self._is_due(trainer) or not isinstance(module, Evaluates):
            return
        kept, self._kept = self._kept, {}
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # on every rank: it is a broadcast
        results = {part: COCOResults() for part in module.parts(split)}

        def rows() -> Iterator[dict[str, Any]]:
            for part, boxes in results.items():
                for prediction in in_order(kept.get(part, []), data_share(trainer.strategy)):
                    if prediction.question is not None:
                        boxes.add(prediction.question, prediction.row["id"])
                    yield prediction.row

        if not trainer.is_global_zero:
            deque(rows(), maxlen=0)  # takes part in the gathering
            return
        write_rows(folder / "predictions.jsonl", rows())
        for part, boxes in results.items():
            if boxes.answers:
                path = folder / f"coco_results_{quote(part, safe='')}.json"
                boxes.write(path, source_of(trainer, split, part))


def predictions(
    part: str, samples: Sequence[Sample], completions: Completions, metrics: Sequence[Judge]
) -> Iterator[Prediction]:
    """Describe the completions of a batch, one a sample."""
    scores: list[dict[str, float]] = [{} for _ in samples]
    failures: list[dict[str, str]] = [{} for _ in samples]
    for name, reward in rewards_of(metrics).items():
        grades = reward.grade(completions, samples)
        for i, (score, code) in enumerate(zip(grades.scores.tolist(), grades.parse_failures.tolist(), strict=True)):
            if code >= 0:
                scores[i][name] = round(score, 6)
            if code > 0:
                failures[i][name] = REASONS[code - 1].value
    for i, sample in enumerate(samples):
        text, frame = completions.texts[i], completions.frames[i]
        question, boxes = answered_boxes(text, sample, frame)
        row = {
            "split": part,
            "id": sample.id,
            "tags": list(sample.groups),
            "problem": sample.problem,
            "answer": answer_text(sample, PIXELS),
            "completion": text,
            "finish_reason": completions.finish_reasons[i],
            "scores": scores[i],
            "parse_failures": failures[i],
        }
        yield Prediction(row if boxes is None else {**row, "boxes": boxes}, question)


def rewards_of(metrics: Sequence[Judge]) -> dict[str, Reward]:
    """The rewards among metrics, and those that other metrics go by, by the name of the metric."""
    named = {
        metric.name: metric if isinstance(metric, Reward) else getattr(metric, "reward", None) for metric in metrics
    }
    return {name: reward for name, reward in named.items() if isinstance(reward, Reward)}


def answered_boxes(text: str, sample: Sample, frame: AnswerFrame | None) -> tuple[Question | None, list[Any] | None]:
    """Read the boxes of an answer: for COCO's results, and for people; ``None`` where there are none to read."""
    question = asked_question(text, sample, frame)
    if question is None:
        marks = answered_marks(sample.solution, text, sample, frame)
        return None, None if marks is None else [pixels(mark.shape) for mark in marks]
    named = [
        {"box": pixels(box), "confidence": round(score, 6), "category": asked.category}
        for asked in question.asked
        for box, score in asked.answers
    ]
    return question, named if question.read else None


def pixels(box: Sequence[float]) -> list[float]:
    """Round coordinates to thousandths of a pixel."""
    return [round(value, 3) for value in box]


def source_of(trainer: Trainer, split: Split, part: str) -> Source | None:
    """Where the rows of a part come from, if that is known."""
    task = getattr(trainer, "datamodule", None)
    samples = task.datasets(split).get(part) if isinstance(task, SampleData) else None
    return samples.source if isinstance(samples, Samples) else None

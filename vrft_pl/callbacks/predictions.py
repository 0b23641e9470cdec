"""What the policy wrote on held-out samples, as files."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from vrft_pl.callbacks.coco_results import COCOResults
from vrft_pl.data import SampleData
from vrft_pl.data.samples import Samples, Split
from vrft_pl.data.sources import Source
from vrft_pl.distributed import data_share, in_order
from vrft_pl.rewards.base import Grades
from vrft_pl.runs import CompletionRecord, Key, RunFolder, describe
from vrft_pl.runs.records import Told
from vrft_pl.types import Completions, Sample


@runtime_checkable
class Evaluates(Protocol):
    """A module whose evaluation steps return ``completions`` and ``grades``, as those of `PolicyModule` do."""

    def parts(self, split: Split) -> list[str]:
        """Names of the parts of a split, in the order of their loaders."""


class PredictionWriter(Callback):
    """Writes the completions of an evaluation into the run's folder, in the order of the data.

    ``predictions.jsonl`` has a `CompletionRecord` for each sample and each step at which there was an evaluation. The
    next one at that step takes its place. For detection, ``coco_results_<part>.json`` has the boxes of the
    categories asked for as COCO writes results, of the last evaluation.

    The files are written at the end of an evaluation, by the first process for all. Completions that are sampled beside
    the greedy one (``eval_samples``) are not written.

    Args:
        enabled: Write after ``validate`` and ``test``. What ``predict`` makes is always written.
        in_fit: Write in a training run too, after each of its evaluations.
    """

    def __init__(self, enabled: bool = True, in_fit: bool = True) -> None:
        self.enabled, self.in_fit = enabled, in_fit
        self._kept: dict[str, list[Told]] = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._kept = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._kept = {}

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._kept = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the evaluations of steps that training is still to come to; that of this step may not come again."""
        folder = RunFolder.of(trainer)
        if trainer.is_global_zero:
            folder.cut_back(folder.PREDICTIONS, trainer.global_step + 1)

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

    def on_predict_batch_end(
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

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was kept of the test split."""
        self._write(trainer, pl_module, "test")

    def _is_due(self, trainer: Trainer) -> bool:
        if trainer.state.fn == TrainerFn.PREDICTING:
            return True
        in_fit = trainer.state.fn == TrainerFn.FITTING
        return self.enabled and not trainer.sanity_checking and (self.in_fit or not in_fit)

    def _keep(
        self, trainer: Trainer, module: LightningModule, split: Split, loader: int, samples: list[Sample], outputs: Any
    ) -> None:
        if self._is_due(trainer) and isinstance(module, Evaluates):
            part = module.parts(split)[loader]
            kept = predictions(trainer.global_step, part, samples, outputs["completions"], outputs["grades"])
            self._kept.setdefault(part, []).extend(kept)

    def _write(self, trainer: Trainer, module: LightningModule, split: Split) -> None:
        if not self._is_due(trainer) or not isinstance(module, Evaluates):
            return
        kept, self._kept = self._kept, {}
        folder = RunFolder.of(trainer)
        results = {part: COCOResults() for part in module.parts(split)}

        def records() -> Iterator[CompletionRecord]:
            for part, boxes in results.items():
                for prediction in in_order(kept.get(part, []), data_share(trainer.strategy)):
                    if prediction.question is not None:
                        boxes.add(prediction.question, prediction.record.id)
                    yield prediction.record

        if not trainer.is_global_zero:
            deque(records(), maxlen=0)  # takes part in the gathering
            return
        numbered = (replace(record, row=row) for row, record in enumerate(records()))
        folder.replace(folder.PREDICTIONS, trainer.global_step, numbered)
        for part, boxes in results.items():
            if boxes.answers:
                with folder.file(f"coco_results_{quote(part, safe='')}.json") as file:
                    boxes.write(file, source_of(trainer, split, part))


def predictions(
    step: int, part: str, samples: Sequence[Sample], completions: Completions, grades: Mapping[str, Grades]
) -> Iterator[Told]:
    """Describe the completions of a batch, one a sample.

    Args:
        step: Optimizer steps done.
        part: Name of the part that they are of.
        samples: The questions.
        completions: The answers.
        grades: What each metric that grades answers said of them, by its name.
    """
    scores = {name: graded.scores for name, graded in grades.items()}
    failures = {name: graded.parse_failures for name, graded in grades.items()}
    for i, sample in enumerate(samples):
        yield describe(Key(step, 0, i), part, sample, completions, i, scores, failures)


def source_of(trainer: Trainer, split: Split, part: str) -> Source | None:
    """Where the rows of a part come from, if that is known."""
    task = getattr(trainer, "datamodule", None)
    samples = task.datasets(split).get(part) if isinstance(task, SampleData) else None
    return samples.source if isinstance(samples, Samples) else None

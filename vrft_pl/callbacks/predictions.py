"""What the policy wrote on held-out samples, as files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from vrft_pl.callbacks.coco_results import COCOResults
from vrft_pl.callbacks.evaluation import Evaluation
from vrft_pl.data import SampleData
from vrft_pl.data.samples import Samples, Split
from vrft_pl.data.sources import Source
from vrft_pl.runs import RunFolder
from vrft_pl.runs.pictures import check_pictures
from vrft_pl.runs.records import Told
from vrft_pl.types import Sample


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

    The first samples of each part have their pictures kept in ``pictures`` of the run's folder, and are shown in a
    table of W&B: the same ones at each evaluation.

    Args:
        enabled: Write after ``validate`` and ``test``. What ``predict`` makes is always written.
        in_fit: Write in a training run too, after each of its evaluations.
        pictures: Most pictures of held-out samples that are kept, shared out among the parts.
        max_side: Most pixels of a picture's longer side; a larger one is made smaller.

    Attributes:
        written_at: Optimizer steps done at the last evaluation that it wrote; ``None`` before the first.

    Raises:
        ValueError: If an argument is out of its range.
    """

    written_at: int | None = None

    def __init__(self, enabled: bool = True, in_fit: bool = True, pictures: int = 96, max_side: int = 384) -> None:
        check_pictures(pictures, max_side)
        self.enabled, self.in_fit = enabled, in_fit
        self.pictures, self.max_side = pictures, max_side
        self._evaluation: Evaluation | None = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._begin(trainer, pl_module, "val")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._begin(trainer, pl_module, "test")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an evaluation that was broken off."""
        self._begin(trainer, pl_module, "test")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the evaluations of steps that training is still to come to; that of this step may not come again.

        Where training starts, that is the one before it, unless another run left it.
        """
        folder, step = RunFolder.of(trainer), trainer.global_step
        if trainer.is_global_zero:
            folder.cut_back(folder.PREDICTIONS, step + 1 if step or self.written_at == step else step)

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
        self._keep(pl_module, "val", dataloader_idx, batch, outputs)

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
        self._keep(pl_module, "test", dataloader_idx, batch, outputs)

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
        self._keep(pl_module, "test", dataloader_idx, batch, outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was kept of the validation split."""
        self._write(trainer, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was kept of the test split."""
        self._write(trainer, "test")

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was kept of the test split."""
        self._write(trainer, "test")

    def _is_due(self, trainer: Trainer) -> bool:
        if trainer.state.fn == TrainerFn.PREDICTING:
            return True
        in_fit = trainer.state.fn == TrainerFn.FITTING
        return self.enabled and not trainer.sanity_checking and (self.in_fit or not in_fit)

    def _begin(self, trainer: Trainer, module: LightningModule, split: Split) -> None:
        self._evaluation = None
        if self._is_due(trainer) and isinstance(module, Evaluates):
            self._evaluation = Evaluation(trainer, module.parts(split), self.pictures, self.max_side)

    def _keep(self, module: LightningModule, split: Split, loader: int, samples: list[Sample], outputs: Any) -> None:
        if self._evaluation is not None and isinstance(module, Evaluates):
            self._evaluation.add(module.parts(split)[loader], samples, outputs["completions"], outputs["grades"])

    def _write(self, trainer: Trainer, split: Split) -> None:
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is None:
            return
        results = {part: COCOResults() for part in evaluation.parts}

        def rows() -> Iterator[tuple[str, Told]]:
            for part, told in evaluation.gathered():
                if told.question is not None:
                    results[part].add(told.question, told.record.id)
                yield part, told

        evaluation.write(rows())
        self.written_at = trainer.global_step
        for part, boxes in results.items():
            if boxes.answers and trainer.is_global_zero:
                with evaluation.folder.file(f"coco_results_{quote(part, safe='')}.json") as file:
                    boxes.write(file, source_of(trainer, split, part))


def source_of(trainer: Trainer, split: Split, part: str) -> Source | None:
    """Where the rows of a part come from, if that is known."""
    task = getattr(trainer, "datamodule", None)
    samples = task.datasets(split).get(part) if isinstance(task, SampleData) else None
    return samples.source if isinstance(samples, Samples) else None

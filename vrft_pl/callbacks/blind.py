"""How much of a score is language alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from vrft_pl.callbacks.checkpoint import between_optimizer_steps
from vrft_pl.callbacks.cost import counted_as_evaluation
from vrft_pl.callbacks.judging import judged, spread
from vrft_pl.callbacks.subset import Writes
from vrft_pl.data import SampleData
from vrft_pl.data.blind import exchanged, greyed
from vrft_pl.data.samples import Split
from vrft_pl.metrics.constant import heeds_answers
from vrft_pl.types import Sample

SIGHTS: dict[str, Callable[[Sequence[Sample]], list[Sample]]] = {
    "seen": list,
    "grey": lambda samples: [greyed(sample) for sample in samples],
    "other": exchanged,
}
"""What is shown: the picture itself, a grey one of the same size, and the picture of another sample."""


class BlindAccuracy(Callback):
    """Judges the same held-out samples with their pictures, with grey ones, and with those of other samples.

    What a policy gets without the picture, or with a wrong one, it has from language alone: shortcuts that form unseen
    while rewards rise (https://arxiv.org/abs/2606.22043). Logs ``<split>/blind/<part>/seen/<Name>``, ``/grey/<Name>``
    and ``/other/<Name>`` of every metric that heeds answers (not of `Format` and the like): at each evaluation, so
    before and after training, and while training beside the step it comes after. Samples without pictures are left out.
    Training is the same with and without it, to the bit.

    Args:
        num_samples: Most samples of a part, spread evenly over it; the same at each time.
        every_n_steps: Optimizer steps between two times while training; 0 for evaluations only.

    Raises:
        ValueError: If ``num_samples`` is below 1 or ``every_n_steps`` is negative.
    """

    def __init__(self, num_samples: int = 64, every_n_steps: int = 25) -> None:
        if num_samples < 1 or every_n_steps < 0:
            raise ValueError(
                "Expected `num_samples` to be at least 1 and `every_n_steps` to be 0 or more, "
                f"but got {num_samples} and {every_n_steps}."
            )
        self.num_samples, self.every_n_steps = num_samples, every_n_steps
        self._shown: dict[Split, dict[str, list[Sample]]] = {}

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge beside the validation split."""
        self._evaluated(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge beside the test split."""
        self._evaluated(trainer, pl_module, "test")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Judge when it is due and an optimizer step has just ended."""
        due = self.every_n_steps and trainer.global_step % self.every_n_steps == 0
        if due and between_optimizer_steps(trainer) and trainer.limit_val_batches:
            with counted_as_evaluation(trainer, pl_module):
                numbers = self.judge(trainer, pl_module, "val")
            for logger in trainer.loggers:
                # beside the training step it comes after, with which it is cut back
                logger.log_metrics(numbers, max(trainer.global_step - 1, 0))

    def judge(self, trainer: Trainer, module: LightningModule, split: Split) -> dict[str, float]:
        """The numbers by logged name, the same on every rank. Every rank calls it."""
        if not isinstance(module, Writes):
            return {}
        numbers: dict[str, float] = {}
        for name, samples in self._samples(trainer, split).items():
            metrics = [metric for metric in module.metrics if heeds_answers(metric)]
            scores = judged(trainer, module, samples, f"blind/{name}", metrics)
            numbers |= {f"{split}/blind/{name}/{metric}": value for metric, value in scores.items()}
        return numbers

    def _evaluated(self, trainer: Trainer, module: LightningModule, split: Split) -> None:
        if trainer.sanity_checking or trainer.state.fn == TrainerFn.FITTING and self._judges_while_training(trainer):
            return
        for name, value in self.judge(trainer, module, split).items():
            module.log(name, value, batch_size=1, sync_dist=True)  # the same on every rank already

    def _judges_while_training(self, trainer: Trainer) -> bool:
        """Whether this step was or will be judged without the evaluation."""
        return bool(self.every_n_steps) and trainer.global_step % self.every_n_steps == 0

    def _samples(self, trainer: Trainer, split: Split) -> dict[str, list[Sample]]:
        """What is shown, by part and sight; the same objects at each time."""
        task = getattr(trainer, "datamodule", None)
        if split not in self._shown and isinstance(task, SampleData):
            parts = {part: spread(rows, self.num_samples) for part, rows in task.datasets(split).items()}
            seen = {part: [sample for sample in samples if sample.images] for part, samples in parts.items()}
            shown = {f"{part}/{sight}": show(s) for part, s in seen.items() for sight, show in SIGHTS.items()}
            self._shown[split] = {name: samples for name, samples in shown.items() if samples}
        return self._shown.get(split, {})

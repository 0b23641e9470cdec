"""Scores beside those of an answer that looks at nothing."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from vrft_pl.data import SampleData
from vrft_pl.data.samples import Split
from vrft_pl.distributed import data_share
from vrft_pl.metrics import Constants, constant_scores
from vrft_pl.metrics.looking import unlooking
from vrft_pl.modules import PolicyModule
from vrft_pl.runs import RunFolder
from vrft_pl.trainer.scores import finite


def constants_of(
    trainer: Trainer, module: LightningModule, task: LightningDataModule, split: Split, folder: RunFolder
) -> Constants:
    """Judge constant answers on the held-out rows that the policy was just judged on, and write ``constants.json``.

    One process calls it, for all. Whatever goes wrong is a reason among those for what is left out.
    """
    if not isinstance(module, PolicyModule) or not isinstance(task, SampleData):
        return Constants(left_out=("module or data are none of this package",))
    try:
        constants = constant_scores(task, module.metrics, split, rows_seen(trainer, task, split))
    except Exception as error:  # of a user's kind, source or metric: a baseline never ends a run that is over
        return Constants(left_out=(f"{type(error).__name__}: {error}",))
    if constants.scores:
        told = {"scores": finite(constants.flat(split)), "answers": constants.answers, "left_out": constants.left_out}
        folder.write(RunFolder.CONSTANTS, told)
    return constants


def rows_seen(trainer: Trainer, task: SampleData, split: Split) -> dict[str, int]:
    """Rows of each part, from its first on, that all ranks together judged; the batches of a part may be limited."""
    batches = trainer.num_val_batches if split == "val" else trainer.num_test_batches
    size = task.eval_batch_size * data_share(trainer.strategy).num_shares
    return {part: int(count) * size for part, count in zip(task.datasets(split), batches, strict=True)}


def warnings_of(constants: Constants, split: Split, scores: Mapping[str, float]) -> list[str]:
    """A line for every score that a constant answer betters, for parts that are not looked at, for what has none."""
    flat = constants.flat(split)
    below = [
        f"Warning: {name} is {scores[name]:.3f}, {gap:.3f} below the {flat[name]:.3f} of a constant answer."
        for name, gap in constants.above(split, scores).items()
    ]
    blind = [f"Warning: {line}" for line in unlooking(scores)]
    return [*below, *blind, *(f"No constant answer beside the scores: {reason}." for reason in constants.left_out)]

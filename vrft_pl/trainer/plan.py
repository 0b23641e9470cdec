"""What a training run is about to do, so that ranks can see whether all of them are about to do it."""

from __future__ import annotations

import hashlib
from itertools import islice

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from vrft_pl.data import SampleData
from vrft_pl.data.resumable import used_batches
from vrft_pl.distributed import DataShare, Facts
from vrft_pl.runs.manifest import data_ids, versions
from vrft_pl.source import SOURCE

MOST_ROWS = 2**20
"""Rows whose order is hashed."""


def code() -> Facts:
    """What has to be the same on every rank of any run: versions of packages, and this package's code."""
    return {**versions(), "code of vrft_pl": SOURCE[:12]}


def training_facts(trainer: Trainer, module: LightningModule, task: LightningDataModule | None) -> Facts:
    """What has to be the same on every rank of a training run: its rows, their order, and the number of steps."""
    ids = data_ids(task, ("train",))
    rows = {f"{name} of {key}": value for key, part in ids.items() for name, value in part.items()}
    return {**rows, **training_plan(task, trainer, getattr(module, "num_iterations", 1))}


def training_plan(task: LightningDataModule | None, trainer: Trainer, num_iterations: int = 1) -> Facts:
    """The order of all ranks' rows, as the run's seed draws it, and the number of optimizer steps.

    Args:
        task: The run's data, set up.
        trainer: The run's; its strategy need not be set up.
        num_iterations: Times that each micro-batch is trained on.

    Returns:
        Digits of a hash of the order, and the steps; ``None`` where nothing but time or a person ends the run.
    """
    if not isinstance(task, SampleData):
        return {}
    sampler = task.shuffled(task.train_rows(), DataShare(trainer.world_size, 0))
    digest = hashlib.sha256()
    for row in islice(sampler.order(), MOST_ROWS):
        digest.update(b"%d\n" % row)
    batches = -(-len(sampler) // task.batch_size) * num_iterations
    return {"order of rows": digest.hexdigest()[:12], "number of steps": planned_steps(trainer, batches)}


def planned_steps(trainer: Trainer, batches: int) -> int | None:
    """Optimizer steps of a run whose epochs have so many micro-batches on each rank; ``None`` where there is no end."""
    steps = -(-used_batches(batches, trainer.limit_train_batches) // trainer.accumulate_grad_batches)
    epochs = -1 if trainer.max_epochs is None else trainer.max_epochs
    return min((most for most in (trainer.max_steps, steps * epochs) if most >= 0), default=None)

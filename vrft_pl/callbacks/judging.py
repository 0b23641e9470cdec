"""Judging a few samples apart from a run's own evaluations, without a trace in its training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch.utils.data import Dataset

from vrft_pl.callbacks.subset import Writes, copies
from vrft_pl.data import SampleData
from vrft_pl.data.randomness import random_state, set_random_state
from vrft_pl.distributed import data_share
from vrft_pl.rewards import Judge
from vrft_pl.rewards.panel import judge, totals
from vrft_pl.types import Sample


def judged(
    trainer: Trainer, module: Writes, samples: Sequence[Sample], name: str, metrics: Sequence[Judge]
) -> dict[str, float]:
    """What metrics say of what the policy writes on samples, ranks sharing them. Every rank calls it.

    Args:
        trainer: The run's trainer.
        module: Writes as in its evaluations.
        samples: The same on every rank.
        name: Chooses the seed of what is drawn.
        metrics: What judges; copies of them do.

    Returns:
        The numbers by name, the same on every rank.
    """
    device = torch.device(trainer.strategy.root_device)
    judges = copies(module, metrics, device)
    share = data_share(trainer.strategy)
    own, task = samples[share.position :: share.num_shares], getattr(trainer, "datamodule", None)
    size = task.eval_batch_size if isinstance(task, SampleData) else len(samples)
    with left_as_it_was(), torch.no_grad(), trainer.precision_plugin.forward_context():
        for start in range(0, len(own), size):
            batch = own[start : start + size]
            completions = module.generate(batch, 1, module.eval_params, name)
            judge(judges, completions, batch)
    return {quantity: float(value) for quantity, value in totals(judges)}


@contextmanager
def left_as_it_was() -> Iterator[None]:
    """Give back the global random numbers, which training goes on drawing."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


def spread(rows: Dataset[Sample], most: int) -> list[Sample]:
    """Up to ``most`` samples, evenly over the rows."""
    sized: Any = rows
    count = min(len(sized), most)
    return [sized[i * len(sized) // count] for i in range(count)]

"""Rewards that would judge none of the rows that are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import suppress

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities import rank_zero_warn

from vrft_pl.data import SampleData
from vrft_pl.data.samples import Samples
from vrft_pl.modules import PolicyModule
from vrft_pl.types import InputError, Sample

MOST_ROWS = 64
"""Rows of a part that are looked at."""


def refuse_unjudged(module: LightningModule, task: LightningDataModule) -> None:
    """Look at a few rows before anything is computed; a reward that judges none of them is warned of.

    Raises:
        InputError: If no reward judges any, so that a run would be for nothing.
    """
    if not isinstance(module, PolicyModule) or not isinstance(task, SampleData) or not module.trains_on_samples:
        return
    rewards = [reward for reward in module.rewards if reward.reads_answers and reward.weight]
    if not rewards or not (samples := list(rows_of(task))):
        return
    idle = [reward.name for reward in rewards if not any(reward.judges(sample) for sample in samples)]
    kinds = ", ".join(sorted({type(sample.solution).__name__ for sample in samples}))
    told = f"of {len(samples)} rows, whose answers are of the kind {kinds}"
    if len(idle) == len(rewards):
        raise InputError(
            f"Expected a reward that judges the rows, but {', '.join(idle)} judge none {told}. "
            "Choose rewards for answers of this kind."
        )
    for name in idle:
        rank_zero_warn(f"Reward `{name}` judges none {told}.")


def rows_of(task: SampleData) -> Iterator[Sample]:
    """Some rows of each part that is trained on: of a stream the first, and what can't be read is passed by."""
    for rows in task.datasets("train").values():
        count = len(rows) if isinstance(rows, Sized) else 0
        looked_at = min(count, MOST_ROWS)
        ours = rows if isinstance(rows, Samples) else None
        for i in range(looked_at):
            row = i if ours is not None and ours.source.streamed else i * count // looked_at
            with suppress(InputError):  # told where it is read to train on
                yield rows[row] if ours is None else ours.read(row)  # which looks at no picture

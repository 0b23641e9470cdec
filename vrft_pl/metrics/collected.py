"""Metrics that need every answer at once."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors

from vrft_pl.distributed import gather
from vrft_pl.rewards.base import Judge
from vrft_pl.types import Completions, Sample


class Row(NamedTuple):
    """What is kept of one completion."""

    sample: str
    """Id of the sample."""
    occurrence: int
    """Completions of the same sample before it in its batch."""
    value: Any
    """Small, immutable and picklable; defined by the metric."""


class Collected(Judge):
    """Keeps a row of each completion, and makes its numbers of all rows of all ranks together.

    A row is known by its sample and by the occurrence of the sample within its batch. So the copies with which a
    distributed sampler evens out the ranks count once, since they come in other batches with the same occurrence, and
    several completions of one sample, which come in one batch, count each. The numbers don't depend on how the samples
    were dealt out: rows are sorted before they are counted.

    Args:
        name: Name in logs. Defaults to the name of the class.
    """

    rows: list[Row]

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.add_state("rows", default=[], dist_reduce_fx=None)

    @abstractmethod
    def values_of(self, completions: Completions, samples: Sequence[Sample]) -> Sequence[Any]:
        """What to keep of each completion.

        Args:
            completions: ``N`` completions, those of one prompt beside each other.
            samples: The sample of each completion, with a ground truth of the right kind. Length ``N``.

        Returns:
            Small, immutable and picklable values. Length ``N``.
        """

    @abstractmethod
    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """Make numbers, by the name they are logged under, of at least one row, each known row once and in order."""

    def update(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Keep the rows of a batch."""
        if len(completions) != len(samples):
            raise ValueError(f"Expected one sample a completion, but got {len(samples)} for {len(completions)}.")
        judged = [i for i, sample in enumerate(samples) if self.judges(sample)]
        if len(judged) < len(samples):
            completions, samples = completions.select(judged), [samples[i] for i in judged]
        seen: Counter[str] = Counter()
        for sample, value in zip(samples, self.values_of(completions, samples), strict=True):
            self.rows.append(Row(sample.id, seen[sample.id], value))
            seen[sample.id] += 1

    def values(self) -> dict[str, Tensor]:
        """The numbers of the rows that are there."""
        unique: dict[tuple[str, int], Row] = {}
        for row in self.rows:
            unique.setdefault((row.sample, row.occurrence), row)
        if not unique:
            return {}
        numbers = self.summarize([unique[key] for key in sorted(unique)])
        return {key: torch.tensor(value, dtype=torch.float32, device=self.device) for key, value in numbers.items()}

    def _sync_dist(self, dist_sync_fn: Callable = gather_all_tensors, process_group: Any = None) -> None:
        """Gather the rows of all ranks; a rank may have none."""
        self.rows = [row for rows in gather(self.rows, process_group) for row in rows]

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = ()) -> nn.Module:
        """Move to a device; rows hold no tensors."""
        return super()._apply(fn, exclude_state=[*exclude_state, "rows"])

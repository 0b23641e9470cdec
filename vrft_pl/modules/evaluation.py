"""What metrics say of the parts of a split, and of the rows of each tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vrft_pl.distributed import gather
from vrft_pl.rewards import Grades, GuardedJudges, Judge
from vrft_pl.rewards.panel import judge, totals
from vrft_pl.types import Completions, Sample


class SplitMetrics:
    """Copies of metrics, made as parts and tags are met.

    Args:
        metrics: What judges.
        guard: Keeps them from ending a run.
    """

    def __init__(self, metrics: Sequence[Judge], guard: GuardedJudges) -> None:
        self.metrics, self.guard = metrics, guard
        self._copies: dict[tuple[str, str], list[Judge]] = {}
        self._tagged: dict[str, set[str]] = {}

    def judge(
        self, stage: str, part: str, completions: Completions, samples: Sequence[Sample], device: torch.device
    ) -> dict[str, Grades]:
        """Add a batch to a part; see `vrft_pl.rewards.panel.judge`."""
        return judge(self._of(stage, part, device), completions, samples)

    def judge_tags(
        self, stage: str, part: str, completions: Completions, samples: Sequence[Sample], device: torch.device
    ) -> None:
        """Add a batch of a part, one completion a sample, to the tags of its rows."""
        for tag, rows in rows_by_tag(samples).items():
            name = f"{part}/tag/{tag}"
            self._tagged.setdefault(stage, set()).add(name)
            self.judge(stage, name, completions.select(rows), [samples[i] for i in rows], device)

    def totals(self, stage: str, parts: Sequence[str], device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """The numbers to log of parts and tags, on all ranks in the same order. Every rank calls it."""
        for name in (*parts, *sorted(set().union(*gather(self._tagged.get(stage, set()))))):
            for quantity, value in totals(self._of(stage, name, device)):
                yield f"{name}/{quantity}", value

    def _of(self, stage: str, part: str, device: torch.device) -> list[Judge]:
        if (stage, part) not in self._copies:
            again = part in self._tagged.get(stage, ())
            self._copies[stage, part] = self.guard.copies(self.metrics, device, counted=not again)
        return self._copies[stage, part]


def rows_by_tag(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Positions of the samples of each tag."""
    rows: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        for tag in dict.fromkeys(sample.tags):
            rows.setdefault(tag, []).append(i)
    return rows

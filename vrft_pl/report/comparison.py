"""Scores side by side, each with the interval it deserves."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import numpy as np
from scipy import stats

from vrft_pl.metrics.interval import wilson_interval
from vrft_pl.metrics.looking import unlooking
from vrft_pl.report.entries import Entry
from vrft_pl.report.records import held, mapping, number, numbers, readable
from vrft_pl.runs import RunFolder
from vrft_pl.runs.ablation import AblationResults, MetricInfo, Rows

MOST_COLUMNS = 8
"""Metrics in front; all of them are in the longer table."""
_ASIDE = re.compile(r".*/(parse_failures|Format|sampled|tag)(/.*)?|.*/blind/.*/(seen|grey|other)/.*")
"""Names of what is no measure of the task, or of a part of its rows alone."""

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Estimate:
    """A mean, and where it may lie with 95 % confidence."""

    mean: float
    """The mean."""
    low: float | None
    """``None`` where there is too little to tell."""
    high: float | None
    """The other end."""
    count: int
    """What the mean is over."""
    over: Literal["seeds", "samples"] = "seeds"
    """Samples where there is one seed; that says nothing of what another seed would bring."""


@dataclass(frozen=True)
class Column:
    """A metric that is compared."""

    key: str
    """As it is logged."""
    role: str = ""
    """What it tells of, in an ablation."""
    constant: float | None = None
    """What the best answer that looks at nothing gets."""


@dataclass(frozen=True)
class Line:
    """An arm at one size."""

    arm: str
    """Name of the arm."""
    rows: Rows
    """Its size."""
    seeds: int
    """How many were finished."""
    after: tuple[Estimate | None, ...]
    """By column."""
    before: tuple[float | None, ...] = ()
    """Before training, by column."""


@dataclass(frozen=True)
class Comparison:
    """A table of arms and metrics."""

    columns: tuple[Column, ...]
    """The metrics."""
    lines: tuple[Line, ...]
    """The arms."""

    @property
    def in_front(self) -> tuple[int, ...]:
        """The columns that fit on a page, in turn from each line: what stands below another name is a detail of it."""
        keys = {column.key for column in self.columns}
        main = [i for i, c in enumerate(self.columns) if not _ASIDE.fullmatch(c.key) and keys.isdisjoint(above(c.key))]
        own = [[i for i in main if line.after[i] is not None] for line in self.lines]
        turns = dict.fromkeys(i for turn in zip_longest(*own) for i in turn if i is not None)
        return tuple(sorted(list(turns)[:MOST_COLUMNS])) or tuple(range(len(self.columns)))[:MOST_COLUMNS]

    @property
    def unlooking(self) -> list[str]:
        """A line for each part that an arm answers as well with grey pictures, where that was asked."""
        told = []
        for line in self.lines:
            pairs = zip(self.columns, line.after, strict=True)
            scores = {column.key: estimate.mean for column, estimate in pairs if estimate is not None}
            told += [f"{line.arm}, {sentence}" for sentence in unlooking(scores)]
        return told

    @property
    def sizes(self) -> tuple[Rows, ...]:
        """Sizes in the order of the lines; those that see no rows belong to each."""
        return tuple(dict.fromkeys(line.rows for line in self.lines if line.rows is not None))


def above(key: str) -> list[str]:
    """The names that a name stands below.

    Example:
        >>> above("val/id/Accuracy/low")
        ['val', 'val/id', 'val/id/Accuracy']
    """
    parts = key.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean of one value a seed, with the interval of Student's t.

    Example:
        >>> estimate = over_seeds([0.6, 0.7, 0.8])
        >>> round(estimate.low, 3), round(estimate.high, 3)
        (0.452, 0.948)
    """
    mean, count = float(np.mean(values)), len(values)
    if count < 2 or len(set(values)) == 1:  # what no seed changes has no spread to tell of
        return Estimate(mean, None, None, count)
    half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return Estimate(mean, mean - half, mean + half, count)


def over_samples(values: Sequence[float]) -> Estimate:
    """Mean of one value a sample, with Wilson's interval where all are right or wrong, and that of Student's t else."""
    if set(values) <= {0.0, 1.0}:
        low, high = wilson_interval(int(sum(values)), len(values))
        return Estimate(float(np.mean(values)), low, high, len(values), "samples")
    mean = over_seeds(values)
    return Estimate(mean.mean, mean.low, mean.high, mean.count, "samples")


def compare_cells(results: AblationResults) -> Comparison:
    """Compare the finished cells of an ablation."""
    columns = tuple(Column(metric.key, metric.role, constant_of(results, metric)) for metric in results.metrics)
    order = {arm.name: i for i, arm in enumerate(results.arms)}
    cells = [cell for cell in results.cells if cell.state == "done"]
    cells.sort(key=lambda cell: order.get(cell.arm, len(order)))
    lines = []
    for arm, rows in dict.fromkeys((cell.arm, cell.rows) for cell in cells):
        scores = [cell.scores for cell in cells if (cell.arm, cell.rows) == (arm, rows)]
        lines.append(Line(arm, rows, len(scores), estimates(columns, scores)))
    return Comparison(columns, tuple(lines))


def constant_of(results: AblationResults, metric: MetricInfo) -> float | None:
    """What the best constant answer gets, on average where it depends on the rows that were drawn."""
    own = [value for cell in results.cells if (value := cell.constants.get(metric.key)) is not None]
    return float(np.mean(own)) if metric.constant is None and own else metric.constant


def compare_runs(entries: Sequence[Entry]) -> Comparison:
    """Compare runs; those of one arm are its seeds."""
    before, after = [scores_before(entry) for entry in entries], [scores_after(entry) for entry in entries]
    names = dict.fromkeys(name for scores in (*after, *before) for name in scores)
    constants = {name: value for entry in entries for name, value in constants_beside(entry).items()}
    columns = tuple(Column(name, constant=constants.get(name)) for name in names)
    lines = []
    for arm in dict.fromkeys(entry.arm for entry in entries):
        own = [i for i, entry in enumerate(entries) if entry.arm == arm]
        first = estimates(columns, [before[i] for i in own])
        last = estimates(columns, [after[i] for i in own])
        if len(own) == 1:
            last = sharpened(columns, last, last_scores(entries[own[0]]))
        lines.append(Line(arm, None, len(own), last, tuple(e.mean if e else None for e in first)))
    return Comparison(columns, tuple(lines))


def estimates(columns: Iterable[Column], scores: Sequence[Scores]) -> tuple[Estimate | None, ...]:
    """Mean of each column over the runs that have it."""
    found = ([value for s in scores if (value := s.get(column.key)) is not None] for column in columns)
    return tuple(over_seeds(values) if values else None for values in found)


def sharpened(
    columns: Iterable[Column], means: Iterable[Estimate | None], scores: Mapping[str, list[float]]
) -> tuple[Estimate | None, ...]:
    """Give the scores of one run the interval over its samples, where their mean is the score."""
    found = []
    for column, mean in zip(columns, means, strict=True):
        values = scores.get(column.key.partition("/")[2], [])
        same = mean is not None and values and math.isclose(np.mean(values), mean.mean, abs_tol=1e-4)
        found.append(over_samples(values) if same else mean)
    return tuple(found)


def last_scores(entry: Entry) -> dict[str, list[float]]:
    """Scores of each sample at the last evaluation, by ``part/name``."""
    found: dict[str, list[float]] = {}
    step = -1
    for record in readable(entry.stages[-1].predictions()) if entry.stages else ():
        if record.step > step:
            found, step = {}, record.step
        for name, score in record.scores.items():
            found.setdefault(f"{record.split}/{name}", []).append(score)
    return found


def scores_before(entry: Entry) -> dict[str, float]:
    """Scores before training; none of an evaluation."""
    return summed_up(entry.stages[0], "before") if entry.stages else {}


def scores_after(entry: Entry) -> dict[str, float]:
    """Scores after training, of an evaluation, or those logged last by a run that goes on."""
    run = entry.stages[-1] if entry.stages else None
    if run is None:
        return {}
    return summed_up(run, "after") or evaluated(run) or logged_last(run)


def constants_beside(entry: Entry) -> dict[str, float]:
    """What answers that look at nothing got on the rows that an entry was judged on."""
    return numbers(held(entry.stages[-1], RunFolder.CONSTANTS)) if entry.stages else {}


def summed_up(run: RunFolder, when: str) -> dict[str, float]:
    """Scores of a finished training run."""
    return numbers(mapping(held(run, run.SUMMARY)).get(when))


def evaluated(run: RunFolder) -> dict[str, float]:
    """Scores of ``validate`` or ``test``."""
    return numbers(held(run, run.SCORES))


def logged_last(run: RunFolder) -> dict[str, float]:
    """The newest held-out scores of a run that goes on."""
    return {
        name: value
        for row in run.metrics()
        for name, text in row.items()
        if name.startswith("val/") and (value := number(text)) is not None
    }

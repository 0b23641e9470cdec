"""What was logged while training, by arm, with the spread of its seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from vrft_pl.report.entries import Entry
from vrft_pl.report.records import number
from vrft_pl.runs.ablation import Rows

FAMILIES: Mapping[str, str] = {
    "Reward": r"train/reward.*",
    "Held out": r"(?!train/|time/)(?!.*(parse_failures|truncated|completion_tokens)).*",
    "Divergence from the reference": r"train/kl.*",
    "Entropy": r"train/entropy.*",
    "Length": r".*/(completion_tokens|length)",
    "Cut off": r".*/truncated.*",
    "Dead groups": r"train/dead_groups.*",
    "Answers that can't be read": r".*/parse_failures.*",
    "Seconds by phase": r"time/.*",
    "Loss and the rest": r".*",
}
"""Headings of the curves, each with the names that belong below it; the first that fits holds."""
NO_CURVES = {"step", "epoch"}
MOST_PANELS = 240
"""Quantities of a page."""
MOST_POINTS = 1440
"""Of all curves of a panel, at most 240 of one; more steps are averaged."""


@dataclass(frozen=True)
class Series:
    """A quantity of one arm."""

    arm: str
    """Name of the arm."""
    rows: Rows
    """Its size."""
    seeds: int
    """How many runs it is the mean of."""
    mean: tuple[float | None, ...]
    """At each step of the panel."""
    low: tuple[float | None, ...] = ()
    """The lowest of the seeds; empty where there is one."""
    high: tuple[float | None, ...] = ()
    """The highest of the seeds."""


@dataclass(frozen=True)
class Panel:
    """A quantity over training."""

    family: str
    """The heading it stands below."""
    name: str
    """As it was logged."""
    steps: tuple[float, ...]
    """Optimizer steps; those of an earlier stage come before."""
    series: tuple[Series, ...]
    """By arm and size."""

    @property
    def still(self) -> bool:
        """Whether it never changes."""
        return len({value for series in self.series for value in series.mean if value is not None}) < 2


Points = dict[int, float]
"""A value by optimizer step."""


def read_panels(entries: Sequence[Entry]) -> list[Panel]:
    """Draw every quantity that was logged more than once."""
    logged = [read_points(entry) for entry in entries]
    names = sorted({name for points in logged for name in points}, key=_in_order)
    for points in logged:
        points.update(with_nothing(points, names))
    arms = list(dict.fromkeys((entry.arm, entry.rows) for entry in entries))
    panels = []
    for name in names:
        by_arm = {
            arm: [points[name] for entry, points in zip(entries, logged, strict=True)
                  if (entry.arm, entry.rows) == arm and name in points]
            for arm in arms
        }  # fmt: skip
        panels.append(panel(name, {arm: found for arm, found in by_arm.items() if found}))
    return [panel for panel in panels if len(panel.steps) > 1]


def fitting(panels: Sequence[Panel], most: int = MOST_PANELS) -> list[Panel]:
    """As many as a page can hold, in turn from each heading; those that never change are left out first."""
    families: dict[str, list[Panel]] = {}
    for one in panels:
        families.setdefault(one.family, []).append(one)
    turns = (one for turn in zip_longest(*families.values()) for one in turn if one is not None)
    kept = {one.name for one in sorted(turns, key=lambda one: one.still)[:most]}
    return [one for one in panels if one.name in kept]


def with_nothing(points: Mapping[str, Points], names: Iterable[str]) -> dict[str, Points]:
    """The reasons why answers could not be read, 0 where only the sum was logged: none failed by them."""
    sums = {name: name.rpartition("/")[0] for name in names if "/parse_failures/" in name.rpartition("/")[0]}
    return {
        name: dict.fromkeys(points[total], 0.0) | points.get(name, {})
        for name, total in sums.items()
        if total in points
    }


def _in_order(name: str) -> tuple[int, str]:
    return list(FAMILIES).index(family_of(name)), name


def family_of(name: str) -> str:
    """The heading that a quantity stands below."""
    return next(family for family, pattern in FAMILIES.items() if re.fullmatch(pattern, name))


def read_points(entry: Entry) -> dict[str, Points]:
    """All that an entry logged; the steps of its stages one after the other."""
    found: dict[str, Points] = {}
    done = 0
    for run in entry.stages:
        last = done
        for row in run.metrics():
            step = number(row["step"])
            for name, text in row.items() if step is not None else ():
                if name not in NO_CURVES and "/cost/" not in name and (value := number(text)) is not None:
                    found.setdefault(name, {})[done + int(step or 0)] = value
            last = max(last, done + int(step or 0))
        done = last
    return found


def panel(name: str, points: Mapping[tuple[str, Rows], Sequence[Points]]) -> Panel:
    """Put the runs of each arm on common steps."""
    steps = sorted({step for runs in points.values() for run in runs for step in run})
    bins = np.array_split(steps, min(len(steps), 240, max(MOST_POINTS // len(points), 40)))
    place = {step: i for i, part in enumerate(bins) for step in part.tolist()}
    series = tuple(series_of(arm, [binned(run, place, len(bins)) for run in runs]) for arm, runs in points.items())
    return Panel(family_of(name), name, tuple(round(float(np.mean(part)), 1) for part in bins), series)


def binned(run: Points, place: Mapping[int, int], count: int) -> list[float]:
    """Mean of a run within each bin, NaN where it has nothing."""
    sums, hits = np.zeros(count), np.zeros(count)
    for step, value in run.items():
        sums[place[step]] += value
        hits[place[step]] += 1
    with np.errstate(invalid="ignore"):
        found: list[float] = np.where(hits > 0, sums / hits, np.nan).tolist()
    return found


def series_of(arm: tuple[str, Rows], runs: Sequence[Sequence[float]]) -> Series:
    """Mean, lowest and highest of the seeds at each step, over those that have a value there."""
    columns = [[value for value in column if value == value] for column in zip(*runs, strict=True)]
    mean = rounded(float(np.mean(column)) if column else None for column in columns)
    if len(runs) < 2:
        return Series(*arm, len(runs), mean)
    low, high = (rounded(end(column) if column else None for column in columns) for end in (min, max))
    return Series(*arm, len(runs), mean, low, high)


def rounded(values: Iterable[float | None]) -> tuple[float | None, ...]:
    """Five digits are more than a screen has."""
    return tuple(None if value is None else float(f"{value:.5g}") for value in values)

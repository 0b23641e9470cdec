"""A report: everything there is to show of some runs, before it becomes a page, a table or a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vrft_pl.report.comparison import Comparison, compare_cells, compare_runs
from vrft_pl.report.costs import Spent, read_costs
from vrft_pl.report.curves import Panel, fitting, read_panels
from vrft_pl.report.entries import Subject, read_subject
from vrft_pl.report.records import tells, unread
from vrft_pl.report.settings import Difference, Facts, differences, facts
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

MOST_FACTS = 40
"""Runs that a page tells the config of."""
MOST_NAMED = 3
"""Files that an error names."""


@dataclass(frozen=True)
class Report:
    """What there is to show."""

    subject: Subject
    """The runs."""
    comparison: Comparison
    """Scores."""
    panels: tuple[Panel, ...]
    """Curves, as many as a page can hold."""
    more_panels: int
    """Those beside."""
    costs: tuple[Spent, ...]
    """What each run took."""
    arms: tuple[str, ...]
    """Those whose configs are compared."""
    differences: tuple[Difference, ...]
    """Of these configs."""
    facts: tuple[Facts, ...]
    """Of each run, as many as a page can hold."""
    runs: int
    """All of them."""
    unread: tuple[str, ...]
    """Files that the report does without, since they can't be read."""

    @property
    def order(self) -> tuple[str, ...]:
        """The arms in the order in which they get their colours."""
        results = self.subject.ablation
        planned = [arm.name for arm in results.arms] if results else []
        drawn = [curve.arm for curve in results.curves] if results else []
        return tuple(dict.fromkeys([*planned, *(entry.arm for entry in self.subject.entries), *drawn]))


def read_report(paths: Sequence[str | Path]) -> Report:
    """Read runs, an ablation or a folder of runs.

    Raises:
        InputError: If there are none, or nothing of them can be read.
    """
    subject = read_subject(paths)
    entries = subject.entries
    comparison = compare_cells(subject.ablation) if subject.ablation else compare_runs(entries)
    arms, differ = differences(entries)
    runs: dict[Path, tuple[str, RunFolder]] = {}
    for label, run in ((entry.label, run) for entry in entries for run in entry.stages if run.path.exists()):
        runs.setdefault(run.path, (label, run))  # several arms may begin with the same stage
    damaged = tuple(name for _, run in runs.values() for name in unread(run))
    if runs and not any(tells(run) for _, run in runs.values()):
        raise InputError(
            f"Expected something to report of {subject.title}, but none of its files can be read: "
            f"{', '.join(damaged[:MOST_NAMED]) or 'they are empty'}."
        )
    told = tuple(facts(label, run) for label, run in list(runs.values())[:MOST_FACTS])
    logged = read_panels(entries)
    panels = fitting(logged)
    return Report(
        subject,
        comparison,
        tuple(panels),
        len(logged) - len(panels),
        read_costs(subject),
        arms,
        differ,
        told,
        len(runs),
        damaged,
    )


def changed_at(paths: Sequence[str | Path]) -> float:
    """When anything that a report reads was written last, in seconds."""
    runs = [run for entry in read_subject(paths).entries for run in entry.folders]
    names = (RunFolder.METRICS, RunFolder.COMPLETIONS, RunFolder.PREDICTIONS, RunFolder.SUMMARY, RunFolder.SCORES)
    files = [run.path / name for run in runs for name in names] + [Path(path) / "results.json" for path in paths]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)

"""What training took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from vrft_pl.report.entries import Entry, Subject
from vrft_pl.report.records import held, mapping, numbers
from vrft_pl.runs import RunFolder
from vrft_pl.runs.ablation import Rows


@dataclass(frozen=True)
class Spent:
    """What one seed of an arm took."""

    arm: str
    """Name of the arm."""
    rows: Rows
    """Its size."""
    cost: Mapping[str, float]
    """By the fields of `vrft_pl.runs.ablation.Cost`."""


def read_costs(subject: Subject) -> tuple[Spent, ...]:
    """The costs of the finished cells of an ablation, or of runs that have written them."""
    if subject.ablation:
        done = (cell for cell in subject.ablation.cells if cell.state == "done")
        return tuple(Spent(cell.arm, cell.rows, asdict(cell.cost)) for cell in done)
    return tuple(of_runs(subject.entries))


def of_runs(entries: Sequence[Entry]) -> Iterable[Spent]:
    """The sum over the stages of each entry."""
    for entry in entries:
        total: Counter[str] = Counter()
        for run in entry.stages:
            total.update(numbers(mapping(held(run, RunFolder.SUMMARY)).get("cost")))
        if total:
            yield Spent(entry.arm, entry.rows, dict(total))

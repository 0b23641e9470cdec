"""Scores as tables for people to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table

from vrft_pl.runs import RunFolder
from vrft_pl.trainer.scores import Scores


def fault_lines(faults: Mapping[str, int]) -> list[str]:
    """A line for everything that failed and did not end the run.

    Args:
        faults: How often, by name.
    """
    return [f"Warning: {name} counts {count}." for name, count in faults.items()]


def print_scores(scores: Scores, constant: Scores | None = None, warnings: Sequence[str] = ()) -> None:
    """Print each metric, what a constant answer gets where that is known, and lines that warn."""
    table = Table(names())
    for column in ("value", *(["constant"] if constant else [])):
        table.add_column(column, justify="right")
    for name, value in scores.items():
        table.add_row(name, shown(value), *beside(constant, name))
    print_with_lines(table, warnings)


def print_summary(
    folder: RunFolder,
    before: Scores,
    after: Scores,
    seconds: float,
    constant: Scores | None = None,
    warnings: Sequence[str] = (),
) -> None:
    """Print each metric before and after, what a constant answer gets, lines that warn, and where the files are."""
    table = Table(names(), title=f"{seconds:.0f} seconds")
    for column in ("before", "after", "change", *(["constant"] if constant else [])):
        table.add_column(column, justify="right")
    for name in dict.fromkeys([*before, *after]):
        first, last = before.get(name), after.get(name)
        change = f"{last - first:+.3f}" if first is not None and last is not None else ""
        table.add_row(name, shown(first), shown(last), change, *beside(constant, name))
    print_with_lines(table, [*warnings, f"Files of this run: {folder}"])


def names() -> Column:
    """A column of names; one that is too long for the screen goes on in the next line, and is not cut."""
    return Column("metric", overflow="fold")


def print_with_lines(table: Table, lines: Sequence[str]) -> None:
    """Print a table, and lines as they are: they hold brackets of names and answers."""
    console = Console(soft_wrap=True)
    if table.rows:
        console.print(table)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def beside(constant: Scores | None, name: str) -> list[str]:
    """The cell of a constant answer, which is never sampled; none where no constant is known."""
    return [shown(constant.get(name.replace("/sampled/", "/")))] if constant else []


def shown(value: float | None) -> str:
    """A number; nothing where there is none."""
    return "" if value is None else f"{value:.3f}"

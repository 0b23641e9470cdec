"""Scores as tables for people to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from vrft_pl.cells import shown
from vrft_pl.runs import RunFolder
from vrft_pl.stdout import say
from vrft_pl.trainer.scores import Scores

Cells = tuple[str, ...]
"""Of a row, behind its name."""
PARSE_FAILURES = "parse_failures"
"""Stands before a metric in the name of its share of answers that it can't parse."""


def fault_lines(faults: Mapping[str, int]) -> list[str]:
    """A line for everything that failed and did not end the run.

    Args:
        faults: How often, by name.
    """
    return [f"Warning: {name} counts {count}." for name, count in faults.items()]


def print_scores(scores: Scores, constant: Scores | None = None, warnings: Sequence[str] = ()) -> None:
    """Print each metric, what a constant answer gets where that is known, and lines that warn."""
    heads = ["value", *(["constant"] if constant else [])]
    rows = {name: (shown(value), *beside(constant, name)) for name, value in scores.items()}
    print_with_lines(table_of(heads, rows), warnings)


def print_summary(
    folder: RunFolder,
    before: Scores,
    after: Scores,
    seconds: float,
    constant: Scores | None = None,
    warnings: Sequence[str] = (),
) -> None:
    """Print each metric before and after, what a constant answer gets, lines that warn, and where the files are."""
    heads = ["before", "after", "change", *(["constant"] if constant else [])]
    rows: dict[str, Cells] = {}
    for name in dict.fromkeys([*before, *after]):
        first, last = before.get(name), after.get(name)
        change = f"{last - first:+.3f}" if first is not None and last is not None else ""
        rows[name] = (shown(first), shown(last), change, *beside(constant, name))
    print_with_lines(table_of(heads, rows, f"{seconds:.0f} seconds"), [*warnings, f"Files of this run: {folder}"])


def table_of(heads: Sequence[str], rows: Mapping[str, Cells], title: str | None = None) -> Table:
    """A table with a heading above the metrics of each part; a name too long for the screen goes on in the next line.

    Args:
        heads: Of the columns behind the names.
        rows: Cells by logged name.
        title: Of the table.
    """
    table = Table(Column("metric", overflow="fold"), title=title)
    for head in heads:
        table.add_column(head, justify="right")
    for part, metrics in by_part(rows).items():
        table.add_section()
        if part:
            table.add_row(Text(part, "bold"))
        for name, cells in metrics.items():
            table.add_row(Text(f"  {name}" if part else name), *cells)  # not markup: names may hold brackets
    return table


def by_part(rows: Mapping[str, Cells]) -> dict[str, dict[str, Cells]]:
    """Rows by what stands before the names of their metrics, the parts before what is within them.

    Where no metric of a part differs from another in what it can't parse, one row says so for all.

    Example:
        >>> by_part({"val/id/blind/A": ("1",), "val/id/A": ("2",), "val/id/parse_failures/A": ("0",)})
        {'val/id': {'A': ('2',), 'parse_failures': ('0',)}, 'val/id/blind': {'A': ('1',)}}
    """
    parts: dict[str, dict[str, Cells]] = {}
    failures: dict[str, dict[str, Cells]] = {}
    for name, cells in rows.items():
        part, _, metric = name.rpartition("/")
        above, _, last = part.rpartition("/")
        if last == PARSE_FAILURES:
            failures.setdefault(above, {})[f"{last}/{metric}"] = cells
        else:
            parts.setdefault(part, {})[metric] = cells
    for part, own in failures.items():
        alike = len(set(own.values())) == 1
        parts.setdefault(part, {}).update({PARSE_FAILURES: next(iter(own.values()))} if alike else own)
    return {part: parts[part] for part in sorted(parts, key=lambda part: part.count("/"))}


def print_with_lines(table: Table, lines: Sequence[str]) -> None:
    """Print a table, and lines as they are: they hold brackets of names and answers."""
    console = Console(soft_wrap=True)
    with console.capture() as printed:  # where nobody reads it, it would end the process itself
        if table.rows:
            console.print(table)
        for line in lines:
            console.print(line, markup=False, highlight=False)
    say(printed.get().removesuffix("\n"))


def beside(constant: Scores | None, name: str) -> list[str]:
    """The cell of a constant answer, which is never sampled; none where no constant is known."""
    return [shown(constant.get(name.replace("/sampled/", "/")))] if constant else []

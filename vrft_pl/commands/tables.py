"""Scores as tables for people to read."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from vrft_pl.runs import RunFolder

Scores = Mapping[str, float]
"""Metrics by logged name."""


def finite(scores: Scores) -> dict[str, float | None]:
    """Replace scores that JSON can't hold."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def print_scores(scores: Scores) -> None:
    """Print each metric."""
    table = Table("metric")
    table.add_column("value", justify="right")
    for name, value in scores.items():
        table.add_row(name, f"{value:.3f}")
    Console(soft_wrap=True).print(table)


def print_summary(folder: RunFolder, before: Scores, after: Scores, seconds: float) -> None:
    """Print each metric before and after, and where the files are."""
    table = Table("metric", title=f"{seconds:.0f} seconds")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right")
    for name in dict.fromkeys([*before, *after]):
        first, last = before.get(name), after.get(name)
        change = f"{last - first:+.3f}" if first is not None and last is not None else ""
        table.add_row(name, *("" if v is None else f"{v:.3f}" for v in (first, last)), change)
    console = Console(soft_wrap=True)
    if table.rows:
        console.print(table)
    console.print(f"Files of this run: {folder}")

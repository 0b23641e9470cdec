"""How far an ablation is, as a table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from vrft_pl.ablation.runner import Cell, Runner
from vrft_pl.ablation.sections import label

STATES = {"done": "green", "running": "yellow", "failed": "red", "waiting": "dim"}
INTERVAL = 2.0
"""Seconds between two looks."""


def progress_table(runner: Runner, started: float, workers: int = 1) -> Table:
    """Cells of each arm and size by their state, and an estimate of the time left.

    Args:
        runner: Knows the cells.
        started: When this session began, in seconds since the epoch.
        workers: How many are at it.
    """
    states = {cell: runner.state(cell) for cell in runner.cells}
    counts = Counter(states.values())
    spent = [seconds for cell in states if (seconds := wall_seconds(runner, cell)) is not None]
    left = counts["running"] + counts["waiting"]
    title = f"{counts['done']} of {len(states)} cells done"
    if spent and left:
        title += f", about {duration(sum(spent) / len(spent) * left / workers)} left"
    table = Table(title=title, caption=f"{duration(time.time() - started)} so far")
    table.add_column("arm")
    table.add_column("rows", justify="right")
    for state, colour in STATES.items():
        table.add_column(state, justify="right", style=colour)
    for arm in runner.arms:
        for size in runner.ablation.rows:
            row = Counter(state for cell, state in states.items() if (cell.arm, cell.rows) == (arm, size))
            table.add_row(escape(arm), label(size), *(str(row[state] or "") for state in STATES))
    return table


def wall_seconds(runner: Runner, cell: Cell) -> float | None:
    """How long a finished cell took."""
    result = runner.kept(cell)
    return result.get("wall_seconds") if result.get("state") == "done" else None


def duration(seconds: float) -> str:
    """Seconds for people."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


@contextmanager
def shown(runner: Runner, workers: int = 1) -> Iterator[None]:
    """Keep the table on the screen while cells are carried out; where there is no screen, print lines alone."""
    console = Console()
    if not console.is_terminal:
        yield
        return
    started, ended = time.time(), Event()
    with Live(progress_table(runner, started, workers), console=console, auto_refresh=False) as live:

        def refresh() -> None:
            while not ended.wait(INTERVAL):
                live.update(progress_table(runner, started, workers), refresh=True)

        thread = Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            live.update(progress_table(runner, started, workers), refresh=True)

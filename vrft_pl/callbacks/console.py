"""Completions on the console, for people who watch a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vrft_pl.runs import CompletionRecord


def print_records(records: Sequence[CompletionRecord]) -> None:
    """Print the completions of each sample below its question: what each scored, its advantage, and its text."""
    console = Console()
    for _, group in groupby(records, lambda record: record.id):
        console.print(table(list(group)))


def table(group: Sequence[CompletionRecord]) -> Table:
    """The completions of one sample."""
    first = group[0]
    title = f"step {first.step}: {first.problem} {first.answer}"
    made = Table(*first.scores, "advantage", "completion", title=visible(title), title_justify="left")
    for record in group:
        scores = [f"{score:.2f}" for score in record.scores.values()]
        advantage = "" if record.advantage is None else f"{record.advantage:+.2f}"
        made.add_row(*scores, advantage, visible(record.completion))
    return made


def visible(text: str) -> Text:
    r"""A text without markup, and without what would steer the terminal; lines stay.

    Example:
        >>> str(visible("[b]3[/b]\x1b[2J\n4"))
        '[b]3[/b]�[2J\n4'
    """
    return Text("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text))

"""Cells of tables for people, and tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def shown(value: float | None) -> str:
    """A score; nothing where there is none.

    Example:
        >>> shown(0.8364), shown(None)
        ('0.836', '')
    """
    return "" if value is None else f"{value:.3f}"


def markdown_table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown; cells stand in it as they are.

    Example:
        >>> print(markdown_table(["metric", "after"], [["BoxIoU", "0.836"]]))
        | metric | after |
        | --- | --- |
        | BoxIoU | 0.836 |
    """
    heads = list(heads)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))

"""A figure for papers: scores with their intervals, and the curves that matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, BinaryIO

from vrft_pl.report import tables
from vrft_pl.report.curves import Panel
from vrft_pl.report.page import efficiency
from vrft_pl.report.report import Report
from vrft_pl.types import InputError

COLOURS = ["#2f6fb5", "#c8661b", "#2f8a5b", "#7b57b2", "#b8434a", "#1f8a93", "#8a6a3d", "#b4548f", "#5b6b80", "#7c8a1f"]
"""Those of the page."""
MOST_CURVES = 6
IN_FRONT = ("Held out", "Reward")
"""Headings whose curves are drawn."""


def draw(report: Report, file: BinaryIO) -> None:
    """Write the figure as PNG.

    Raises:
        InputError: If matplotlib is missing, there is nothing to draw, or numbers are too large for it.
    """
    try:
        from matplotlib.figure import Figure  # an extra: pages and tables do without
    except ImportError as error:
        raise InputError(
            "A figure needs matplotlib. Install it with `pip install vrft_pl[report]`, or choose another `--format`."
        ) from error
    front = report.comparison.in_front
    panels = efficiency(report.subject.ablation) or front_panels(report.panels)
    if not front and not panels:
        raise InputError("Expected scores or curves to draw, but the runs have left none.")
    count = len(front) + len(panels)
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    height = 2.3 + 0.12 * len(report.comparison.lines)
    figure = Figure(figsize=(3.6 * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for place, i in zip(axes, front, strict=False):
        draw_scores(place, report, i)
    for place, panel in zip(axes[len(front) :], panels, strict=False):
        draw_panel(place, panel, report.order)
    for place in axes[count:]:
        place.set_visible(False)
    try:
        figure.savefig(file, format="png", dpi=180)
    except ValueError as error:
        raise InputError(f"Expected numbers that have a place on an axis, but they have none: {error}.") from error


def front_panels(panels: Sequence[Panel]) -> list[Panel]:
    """Held-out scores and the reward, as many as a figure can hold."""
    asides = ("Format", "reward_std")
    found = [panel for family in IN_FRONT for panel in panels if panel.family == family]
    return [panel for panel in found if panel.name.split("/")[-1] not in asides][:MOST_CURVES]


def draw_scores(axes: Any, report: Report, i: int) -> None:
    """Draw a metric: a dot and an interval for each arm, a dashed line for the best constant answer."""
    column, order = report.comparison.columns[i], report.order
    lines = [line for line in report.comparison.lines if line.after[i] is not None]
    names = []
    for place, line in enumerate(lines):
        estimate = line.after[i]
        assert estimate is not None
        colour = colour_of(line.arm, order)
        if estimate.low is not None:
            axes.plot([estimate.low, estimate.high], [place, place], color=colour, lw=2, alpha=0.6)
        axes.plot([estimate.mean], [place], "o", color=colour, ms=5)
        names.append(line.arm + ("" if line.rows is None else f", {line.rows}"))
    if column.constant is not None:
        axes.axvline(column.constant, color="0.5", lw=1, ls="--")
    axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    finish(axes, " ".join(tables.split_key(column.key)))


def draw_panel(axes: Any, panel: Panel, order: Sequence[str]) -> None:
    """Draw curves with the bands of their seeds."""
    for series in panel.series:
        colour = colour_of(series.arm, order)
        label = plain(series.arm + ("" if series.rows is None else f", {series.rows}"))
        known = [i for i, value in enumerate(series.mean) if value is not None]
        steps = [panel.steps[i] for i in known]
        axes.plot(steps, [series.mean[i] for i in known], color=colour, lw=1.4, label=label)
        if series.low:
            ends = [[end[i] if end[i] is not None else math.nan for i in known] for end in (series.low, series.high)]
            axes.fill_between(steps, *ends, color=colour, alpha=0.15, lw=0)
    if panel.family == "Scores by rows":
        axes.set_xscale("log", base=2)
        axes.set_xticks(panel.steps, [f"{rows:g}" for rows in panel.steps])
        axes.minorticks_off()
    axes.set_xlabel("rows" if panel.family == "Scores by rows" else "optimizer steps", fontsize=8)
    if len(panel.series) > 1:
        axes.legend(fontsize=7, frameon=False)
    finish(axes, panel.name)


def finish(axes: Any, title: str) -> None:
    """Take away what tells nothing."""
    axes.set_title(plain(title), fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="0.92")


def plain(text: str) -> str:
    """Text that is no formula of TeX."""
    return text.replace("$", r"\$")


def colour_of(arm: str, order: Sequence[str]) -> str:
    """The colour that an arm has in the page too."""
    return COLOURS[order.index(arm) % len(COLOURS)]

"""Tables for papers: Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from vrft_pl.cells import markdown_table, shown
from vrft_pl.report import tables
from vrft_pl.report.comparison import Estimate
from vrft_pl.report.report import Report

FIELDS = ("table", "arm", "rows", "metric", "value", "low", "high", "count", "over", "before", "constant", "p")
"""Columns of the CSV: a row for each score, and for each contrast (``arm − against``)."""


def markdown(report: Report) -> str:
    """The verdict, the scores, the contrasts and the costs."""
    results, comparison = report.subject.ablation, report.comparison
    front = comparison.in_front
    parts = [f"# {inline(report.subject.title)}", *map(inline, results.verdict if results else ())]
    if front:
        columns = [comparison.columns[i] for i in front]
        heads = ["arm", "rows", "seeds", *(" ".join(tables.split_key(column.key)) for column in columns)]
        rows = [["best constant answer", "", "", *map(shown, (column.constant for column in columns))]]
        rows = rows if any(rows[0][3:]) else []
        for line in comparison.lines:
            size = "" if line.rows is None else str(line.rows)
            rows.append([line.arm, size, str(line.seeds), *(with_interval(line.after[i]) for i in front)])
        parts += [
            table(heads, rows),
            tables.note(comparison).partition(" Each metric")[0].partition(" The short line")[0],
            *map(inline, comparison.unlooking),
        ]
    if results and results.contrasts:
        heads = ["contrast", "on", "rows", "difference", "95 % interval", "p", "kind"]
        parts.append(table(heads, [contrast_row(row) for row in tables.contrast_rows(results.contrasts)]))
        said = {"", *results.verdict}
        parts += [inline(one.sentence) for one in results.contrasts if one.primary and one.sentence not in said]
    if costs := tables.cost_rows(report.costs, report.order):
        heads = ["arm", "rows", *tables.COSTS.values()]
        parts.append(
            table(heads, [[c["arm"], "" if c["rows"] is None else str(c["rows"]), *c["amounts"]] for c in costs])
        )
    parts += [inline(f"{file} can't be read: the report does without it.") for file in report.unread]
    return "\n\n".join(part for part in parts if part) + "\n"


def contrast_row(row: dict[str, object]) -> list[str]:
    """A contrast as cells."""
    arms, kind = f"{row['arm']} − {row['against']}", "primary" if row["primary"] else "exploratory"
    size = "" if row["rows"] is None else str(row["rows"])
    name = f"{arms} ({row['name']})" if row["name"] else arms
    cells = (name, row["metric"], size, row["difference"], row["interval"], row["p"], kind)
    return list(map(str, cells))


def with_interval(estimate: Estimate | None) -> str:
    """A mean and its interval as text."""
    if estimate is None:
        return ""
    between = "" if estimate.low is None else f" ({estimate.low:.3f} to {estimate.high:.3f})"
    return f"{estimate.mean:.3f}{between}"


def inline(text: str) -> str:
    r"""Text that Markdown and HTML take for nothing else, on one line.

    Example:
        >>> inline("a|b <i>\n*c*")
        'a\\|b &lt;i&gt; \\*c\\*'
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#" else letter for letter in text)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    return markdown_table(map(inline, heads), (map(inline, row) for row in rows))


def comma_separated(report: Report) -> str:
    """All scores and contrasts, a row each."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n", restval="")
    writer.writeheader()
    comparison = report.comparison
    for line in comparison.lines:
        for i, column in enumerate(comparison.columns):
            if (estimate := line.after[i]) is None:
                continue
            before = line.before[i] if line.before else None
            own = {"table": "scores", "arm": line.arm, "rows": line.rows, "metric": column.key, "before": before}
            writer.writerow(own | spread_out(estimate) | {"constant": column.constant})
    for one in report.subject.ablation.contrasts if report.subject.ablation else ():
        own = {"table": "contrasts", "arm": f"{one.arm} − {one.against}", "rows": one.rows, "metric": one.metric}
        found = {"value": one.difference, "low": one.low, "high": one.high, "count": len(one.pairs), "over": "seeds"}
        writer.writerow(own | found | {"p": one.p_adjusted if one.primary else one.p})
    return text.getvalue()


def spread_out(estimate: Estimate) -> dict[str, object]:
    """An estimate by the columns of the CSV."""
    return {
        "value": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "count": estimate.count,
        "over": estimate.over,
    }

"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from vrft_pl import __version__
from vrft_pl.report import tables
from vrft_pl.report.completions import Columns
from vrft_pl.report.curves import Panel, Series
from vrft_pl.report.data import as_json
from vrft_pl.report.report import Report
from vrft_pl.runs.ablation import AblationResults

MODULES = ("data", "dom", "theme", "charts", "choice", "list", "picture", "detail", "browser", "keys", "live", "main")
"""The page's own scripts; each imports only from those before it."""
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|function|class) (\w+))", re.MULTILINE)


def render(report: Report, columns: Columns, live: float = 0.0) -> str:
    """Write the page.

    Nothing in it can reach out: the content security policy allows the scripts and styles that are in it by their
    hash, pictures that are in it, and nothing else. Text goes through jinja's escaping, or into a block of JSON that
    can't be left and of which the scripts make text nodes.

    Args:
        report: What there is to show.
        columns: The completions.
        live: When the runs were written last, for a page that is served; 0 for one that is a file.
    """
    style, plots, script = read("uplot/uPlot.min.css") + read("page.css"), plots_script(), bundled()
    policy = security_policy(style, (plots, script), connect="'self'" if live else "'none'")
    template = environment().get_template("page.html")
    return template.render(
        **view(report, columns),
        policy=policy,
        style=Markup(style),
        plots=Markup(plots),
        script=Markup(script),
        data=Markup(as_json(data(report, columns, live)).decode()),
        live=bool(live),
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def environment() -> jinja2.Environment:
    """Everything is escaped; a name that is not there is an error."""
    loader = jinja2.PackageLoader("vrft_pl.report", "page")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


def read(name: str) -> str:
    """A file of the page."""
    return (files("vrft_pl.report") / "page" / name).read_text(encoding="utf-8")


def bundled() -> str:
    """The page's modules as one, each in a scope of its own: a file that is opened from disk can't import others."""
    return "\n".join(map(scoped, MODULES))


def scoped(name: str) -> str:
    """A module as a function that returns its exports."""
    text = _IMPORT.sub(r"const \1 = \2_js;", read(f"{name}.js"))
    exported = ", ".join(_EXPORT.findall(text))
    return f"const {name}_js = (() => {{\n{_EXPORT.sub('', text)}\nreturn {{ {exported} }};\n}})();"


def plots_script() -> str:
    """The plot library with its licence."""
    return f"/*\n{read('uplot/LICENSE')}\n*/\n{read('uplot/uPlot.iife.min.js')}"


def security_policy(style: str, scripts: Sequence[str], connect: str) -> str:
    """What the browser lets the page do."""
    allowed = " ".join(map(hashed, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {hashed(style)}; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def hashed(text: str) -> str:
    """How the policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def data(report: Report, columns: Columns, live: float) -> dict[str, Any]:
    """What the scripts read."""
    return {
        "live": live,
        "arms": list(report.order),
        "panels": [asdict(panel) for panel in report.panels],
        "efficiency": [asdict(panel) | {"log": True} for panel in efficiency(report.subject.ablation)],
        "completions": asdict(columns) if len(columns) else None,
    }


def efficiency(results: AblationResults | None) -> list[Panel]:
    """Scores by the number of rows, where there are several."""
    panels = []
    for metric in results.metrics if results else ():
        curves = [curve for curve in results.curves if curve.metric == metric.key] if results else []
        steps = sorted({rows for curve in curves for rows in curve.rows})
        series = [
            Series(
                curve.arm,
                None,
                0,
                *(along(steps, curve.rows, values) for values in (curve.mean, curve.low, curve.high)),
            )
            for curve in curves
        ]
        if len(steps) > 1:
            panels.append(Panel("Scores by rows", metric.key, tuple(steps), tuple(series)))
    return panels


def along(steps: Sequence[float], rows: Sequence[float], values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Values of a curve at the steps of its panel."""
    known = dict(zip(rows, values, strict=False))
    return tuple(known.get(step) for step in steps) if known else ()


def view(report: Report, columns: Columns) -> dict[str, Any]:
    """What the template reads."""
    results, order = report.subject.ablation, report.order
    table = tables.score_table(report.comparison, order)
    curved = efficiency(results)
    contrasts = tables.contrast_rows(results.contrasts) if results else []
    costs = tables.cost_rows(report.costs, order)
    search = tables.search_rows(results, order) if results else []
    states = Counter(cell.state for cell in results.cells) if results else Counter()
    sections = {
        "scores": ("Scores", table["columns"]),
        "contrasts": ("Contrasts", contrasts),
        "efficiency": ("By rows", curved),
        "costs": ("Costs", costs),
        "curves": ("Curves", report.panels),
        "completions": ("Completions", len(columns)),
        "search": ("Search", search),
        "configs": ("Configs", True),
    }
    return {
        "title": report.subject.title or "Report",
        "sections": [(name, heading) for name, (heading, there) in sections.items() if there],
        "verdict": results.verdict if results else (),
        "states": [(state, states[state]) for state in ("done", "running", "waiting", "failed") if states[state]],
        "failed": [cell for cell in results.cells if cell.state == "failed"] if results else [],
        "table": table,
        "unlooking": report.comparison.unlooking,
        "all_metrics": tables.all_metrics(report.comparison),
        "sizes": [str(size) for size in report.comparison.sizes],
        "contrasts": contrasts,
        "efficiency": bool(curved),
        "areas": tables.areas(results, order) if results else [],
        "costs": costs,
        "cost_names": tables.COSTS.values(),
        "curves": len(report.panels),
        "more_panels": report.more_panels,
        "unread": report.unread,
        "bands": any(series.low for panel in report.panels for series in panel.series),
        "completions": len(columns) > 0,
        "notes": notes(columns),
        "search": search,
        "search_note": tables.search_note(results) if results else "",
        "compared": report.arms,
        "differences": report.differences,
        "facts": report.facts,
        "more_runs": report.runs - len(report.facts),
    }


def notes(columns: Columns) -> list[str]:
    """What is not in the page, and why."""
    found = []
    if columns.left_out:
        found.append(
            f"{columns.left_out:,} more completions lie in the folders: the page holds as many whole samples and "
            "groups of each split as stay below its limit."
        )
    if columns.pictures_left_out:
        found.append(f"{columns.pictures_left_out:,} more pictures lie in the folders: there was no room for them.")
    return found

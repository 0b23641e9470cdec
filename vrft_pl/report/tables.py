"""The numbers of a report as rows of text, with the places of what is drawn beside them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from vrft_pl.report.comparison import Comparison, Estimate, Line
from vrft_pl.report.costs import Spent
from vrft_pl.report.settings import shown
from vrft_pl.runs.ablation import AblationResults, Contrast, in_rows

COSTS = {
    "samples": "samples",
    "optimizer_steps": "steps",
    "generated_tokens": "generated tokens",
    "trained_tokens": "trained tokens",
    "seconds": "seconds",
    "flops": "FLOPs",
}
"""Fields of a cost, and what a table calls them."""
ROLES = {"in_domain": "in domain", "out_of_domain": "out of domain", "home": "home domain", "other": "other family"}


class Scale:
    """Places values between 0 and 100.

    Args:
        values: What has to fit.
    """

    def __init__(self, values: Iterable[float | None]) -> None:
        known = [value for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
        margin = 0.06 * (max(known) - min(known)) or 0.05
        self.low, self.width = min(known) - margin, max(known) - min(known) + 2 * margin

    def __call__(self, value: float | None) -> float | None:
        """Where a value stands, ``None`` where there is none."""
        return None if value is None else round(100 * (value - self.low) / self.width, 2)


def tone(arm: str, order: Sequence[str]) -> str:
    """Class of the colour of an arm."""
    return f"c{order.index(arm) % 10}" if arm in order else "ink"


def score_table(comparison: Comparison, order: Sequence[str]) -> dict[str, Any]:
    """The table of the metrics in front."""
    front = comparison.in_front
    columns = [comparison.columns[i] for i in front]
    scales = {i: Scale(values_of(comparison, i)) for i in front}
    lines = [
        {
            "arm": line.arm,
            "rows": line.rows,
            "seeds": line.seeds,
            "tone": tone(line.arm, order),
            "cells": [score_cell(line, i, comparison.columns[i].constant, scales[i]) for i in front],
        }
        for line in comparison.lines
    ]
    constants = [column.constant for column in columns]
    heads = [
        dict(zip(("part", "name"), split_key(c.key), strict=True)) | {"role": ROLES.get(c.role, "")} for c in columns
    ]
    known = any(constant is not None for constant in constants)
    return {"columns": heads, "lines": lines, "constants": constants if known else [], "note": note(comparison)}


def split_key(key: str) -> tuple[str, str]:
    """The part that a metric is of and its name."""
    parts = key.split("/")
    return ("/".join(parts[1:-1] or parts[:-1]), parts[-1])


def values_of(comparison: Comparison, i: int) -> Iterable[float | None]:
    """All that is drawn in a column."""
    yield comparison.columns[i].constant
    for line in comparison.lines:
        if (estimate := line.after[i]) is not None:
            yield from (estimate.mean, estimate.low, estimate.high)
        yield line.before[i] if line.before else None


def score_cell(line: Line, i: int, constant: float | None, scale: Scale) -> dict[str, Any] | None:
    """One score as text, with the places of its mark."""
    estimate, before = line.after[i], line.before[i] if line.before else None
    if estimate is None:
        return None
    change = "" if before is None else f"{estimate.mean - before:+.3f}"
    moved = float(change or 0)
    titles = [f"over {estimate.count} {estimate.over}"]
    titles += [] if before is None else [f"{before:.3f} before training"]
    titles += [] if constant is None else [f"{constant:.3f} by the best constant answer"]
    return {
        "value": f"{estimate.mean:.3f}",
        "interval": interval(estimate),
        "change": change,
        "direction": "up" if moved > 0 else "down" if moved < 0 else "muted",
        "title": ", ".join(titles),
        "below": constant is not None and estimate.mean < constant,
        "at": scale(estimate.mean),
        "low": scale(estimate.low),
        "high": scale(estimate.high),
        "before": scale(before),
        "constant": scale(constant),
    }


def interval(estimate: Estimate) -> str:
    """The interval as text; none where there is none."""
    return "" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"


def note(comparison: Comparison) -> str:
    """What the intervals are."""
    kinds = {e.over for line in comparison.lines for e in line.after if e is not None and e.low is not None}
    says = {
        "seeds": "Mean over seeds with the 95 % interval of Student's t.",
        "samples": "95 % interval over held-out samples: it says nothing of what another seed would bring.",
    }
    said = [text for kind, text in says.items() if kind in kinds]
    said += ["Each metric has a scale of its own."] if len(comparison.in_front) > 1 else []
    if any(value is not None for line in comparison.lines for value in line.before):
        said.append("The short line is the score before training, and the small number the change since.")
    return " ".join(said)


def all_metrics(comparison: Comparison) -> dict[str, Any] | None:
    """Every metric by arm, where the table in front leaves some out."""
    if len(comparison.in_front) == len(comparison.columns):
        return None
    head = [line.arm + ("" if line.rows is None else f", {in_rows(line.rows)}") for line in comparison.lines]
    rows = []
    for i, column in enumerate(comparison.columns):
        estimates = [line.after[i] for line in comparison.lines]
        rows.append((column.key, ["" if e is None else f"{e.mean:.3f}" for e in estimates]))
    return {"head": head, "rows": rows}


def contrast_rows(contrasts: Sequence[Contrast]) -> list[dict[str, Any]]:
    """Contrasts as text, on one scale."""
    ends = [v for c in contrasts for v in (c.difference, c.low, c.high, *c.pairs, *(c.bootstrap or ()))]
    scale = Scale([0.0, *ends])
    rows = []
    for one in sorted(contrasts, key=lambda contrast: not contrast.primary):
        p = one.p_adjusted if one.primary and one.p_adjusted is not None else one.p
        boot = one.bootstrap and [scale(end) for end in one.bootstrap]
        rows.append(
            {
                "name": "" if one.name.startswith(f"{one.arm} - {one.against}, ") else one.name,
                "arm": one.arm,
                "against": one.against,
                "metric": " ".join(split_key(one.metric)),
                "rows": one.rows,
                "primary": one.primary,
                "difference": "–" if one.difference is None else f"{one.difference:+.3f}",
                "interval": "" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}",
                "p": "–" if p is None else "< .001" if p < 0.001 else f"{p:.3f}",
                "count": len(one.pairs) or "",
                "seeds_needed": one.seeds_needed,
                "sentence": one.sentence,
                "zero": scale(0.0),
                "at": scale(one.difference),
                "low": scale(one.low) if one.high is not None else None,
                "high": scale(one.high),
                "boot": boot if boot and None not in boot else None,
                "pairs": [place for pair in one.pairs if (place := scale(pair)) is not None],
            }
        )
    return rows


def cost_rows(spent: Sequence[Spent], order: Sequence[str]) -> list[dict[str, Any]]:
    """What the runs of each arm and size took, on average; nothing where none took anything."""
    arms = sorted(dict.fromkeys((one.arm, one.rows) for one in spent), key=lambda key: order.index(key[0]))
    rows: list[dict[str, Any]] = []
    for arm, size in arms:
        costs = [one.cost for one in spent if (one.arm, one.rows) == (arm, size)]
        means = [sum(cost.get(name, 0.0) for cost in costs) / len(costs) for name in COSTS]
        rows.append({"arm": arm, "rows": size, "tone": tone(arm, order), "amounts": list(map(amount, means))})
    return rows if any(value != "0" for row in rows for value in row["amounts"]) else []


def amount(value: float) -> str:
    """A count that may be large.

    Example:
        >>> amount(0), amount(6.72), amount(12345), amount(3.2e12)
        ('0', '6.7', '12,345', '3.2e12')
    """
    if value >= 1e9:
        return f"{value:.1e}".replace("e+", "e")
    return f"{value:,.1f}".removesuffix(".0") if value < 100 else f"{value:,.0f}"


def search_rows(results: AblationResults, order: Sequence[str]) -> list[dict[str, Any]]:
    """All trials as text."""
    return [
        {
            "arm": trial.arm,
            "tone": tone(trial.arm, order),
            "settings": ", ".join(f"{key} {shown(value)}" for key, value in trial.values.items()),
            "scores": ", ".join(map(score, trial.scores)),
            "mean": score(trial.mean),
            "chosen": trial.chosen,
            "at_edge": trial.at_edge,
        }
        for trial in results.search
    ]


def search_note(results: AblationResults) -> str:
    """How many trials there were for each value that was searched, where arms differ in that."""
    trials = Counter(trial.arm for trial in results.search if trial.mean is not None)
    values = {trial.arm: len(trial.values) for trial in results.search if trial.values}
    arms: dict[float, list[str]] = {}
    for arm, count in values.items():
        arms.setdefault(trials[arm] / count, []).append(arm)
    if len(arms) < 2:
        return ""
    told = (f"{each:.3g} of {'; '.join(arms[each])}" for each in sorted(arms, reverse=True))
    return f"Trials for each value that was searched, which are not as many for all arms: {', '.join(told)}."


def score(value: float | None) -> str:
    """A score as text."""
    return "–" if value is None else f"{value:.3f}"


def areas(results: AblationResults, order: Sequence[str]) -> list[dict[str, str]]:
    """Area below the first metric's curve of each arm."""
    first = results.metrics[0].key if results.metrics else ""
    return [
        {"arm": curve.arm, "tone": tone(curve.arm, order), "text": f"area {curve.area:.3f}"}
        for curve in results.curves
        if curve.metric == first and curve.area is not None
    ]

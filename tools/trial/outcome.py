"""What became of a trial, and the table of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SIGNS = {"right": "✓", "slower": "slower", "refused": "refused", "wrong": "**wrong**", "crash": "**crash**"}
SIGNS |= {"absent": "–", "": ""}
BAD = "wrong", "crash"


@dataclass(frozen=True)
class Outcome:
    """One cell."""

    kind: str = "right"
    """A key of `SIGNS`."""
    reason: str = ""
    """Why it is not right; one line."""


Row = Mapping[str, Outcome]


def table(rows: Mapping[str, Row], columns: Sequence[str]) -> str:
    """The cells as Markdown, reasons of refusals and slower ways below."""
    lines = ["| architecture | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(SIGNS[row.get(key, Outcome("")).kind] for key in columns) + " |")
    return "\n".join(lines)


def reasons(rows: Mapping[str, Row]) -> str:
    """Every reason once, with the architectures and trials that it holds for."""
    found: dict[str, list[str]] = {}
    for name, row in rows.items():
        told: dict[str, list[str]] = {}
        for key, outcome in row.items():
            if outcome.reason:
                told.setdefault(f"{outcome.kind}: {outcome.reason}", []).append(key)
        for reason, keys in told.items():
            found.setdefault(reason, []).append(f"{name} ({', '.join(keys)})")
    return "\n".join(f"- {reason}: {'; '.join(names)}" for reason, names in found.items())


def summary(rows: Mapping[str, Row], columns: Sequence[str]) -> str:
    """How many architectures are right in everything, take a slower way, are refused, or worse."""
    worst = [
        next((k for k in (*BAD, "absent", "refused", "slower") if any(o.kind == k for o in row.values())), "right")
        for row in rows.values()
    ]
    counts = Counter(worst)
    return ", ".join(f"{counts[kind]} {kind}" for kind in SIGNS if counts[kind] or kind in BAD)

"""What a check found, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

Level = Literal["error", "warning", "note"]
"""``error``: it would break the run; ``warning``: it is probably not meant; ``note``: a fact."""

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "default"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    level: Level
    what: str
    """What is wrong and what to do about it, or the fact."""
    rows: tuple[str, ...] = ()
    """The rows it is about, each with its reason."""


class Report:
    """The findings of every step.

    Args:
        steps: Findings by the name of the step, in the order of the steps.
        seconds: Seconds that the check took.
    """

    def __init__(self, steps: Mapping[str, Sequence[Finding]], seconds: float) -> None:
        self.steps, self.seconds = steps, seconds

    def count(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for findings in self.steps.values() for finding in findings)

    @property
    def verdict(self) -> str:
        """One sentence."""
        errors, warnings = self.count("error"), self.count("warning")
        if errors or warnings:
            return f"check found {errors} error{'s' * (errors != 1)} and {warnings} warning{'s' * (warnings != 1)}."
        return "check found nothing wrong."

    def write(self, path: Path) -> None:
        """Write everything as JSON, whole or not at all."""
        steps = {name: [asdict(finding) for finding in findings] for name, findings in self.steps.items()}
        content = {
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "seconds": round(self.seconds, 1),
            "steps": steps,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}")
        scratch.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        scratch.replace(path)

    def print(self, path: Path, most_rows: int = 5) -> None:
        """Print a table of the findings.

        Args:
            path: Where the whole report is.
            most_rows: Rows named for each finding.
        """
        table = Table("step", "level", "finding", title=f"{self.seconds:.0f} seconds", show_lines=False)
        for name, findings in self.steps.items():
            for i, finding in enumerate(findings):
                table.add_row(
                    "" if i else name, Text(finding.level, _COLOURS[finding.level]), _told(finding, most_rows)
                )
        console = Console(soft_wrap=True)
        console.print(table)
        console.print(f"{self.verdict[0].upper()}{self.verdict[1:]} All rows: {path}", markup=False, highlight=False)


def _told(finding: Finding, most_rows: int) -> Text:
    """A finding with its first rows. Not markup: rows hold brackets."""
    lines = [finding.what, *(f"  {row}" for row in finding.rows[:most_rows])]
    if len(finding.rows) > most_rows:
        lines.append(f"  ... and {len(finding.rows) - most_rows} more")
    return Text("\n".join(lines))

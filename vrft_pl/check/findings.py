"""What a check found, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vrft_pl.runs import RunFolder

Level = Literal["error", "warning", "note"]
"""``error``: it would break the run; ``warning``: it is probably not meant; ``note``: a fact."""

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "default"}

THOUSANDTHS_OF = "thousandths of the picture"
"""The unit of coordinates that no source holds: of right answers and of constant ones."""


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

    def write(self, folder: RunFolder) -> None:
        """Write everything as JSON."""
        content = {
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "seconds": round(self.seconds, 1),
            "steps": {name: [asdict(finding) for finding in findings] for name, findings in self.steps.items()},
        }
        folder.write(folder.CHECK, content)

    def print(self, folder: RunFolder, most_rows: int = 5) -> None:
        """Print a table of the findings.

        Args:
            folder: Where the whole report is.
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
        told = f"{self.verdict[0].upper()}{self.verdict[1:]} All rows: {folder.path / folder.CHECK}"
        console.print(told, markup=False, highlight=False)


def _told(finding: Finding, most_rows: int) -> Text:
    """A finding with its first rows. Not markup: rows hold brackets."""
    lines = [finding.what, *(f"  {row}" for row in finding.rows[:most_rows])]
    if len(finding.rows) > most_rows:
        lines.append(f"  ... and {len(finding.rows) - most_rows} more")
    # half of an emoji, which rows may hold, can't be printed
    return Text("\n".join(lines).encode(errors="backslashreplace").decode())

"""What a run leaves, and how it differs from what it should have left."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SHOWN = 160
"""Characters of a record that a difference shows."""
MOST_FIELDS = 4
"""Fields that it names."""
CLOCKS = ("seconds", "phases")
"""Names of what no two runs have in common."""
CLOCKED = ("time/", "trainer/")
"""How names begin that say nothing of a run: seconds, which the row of a checkpoint lacks in part, and the step."""


def left_behind(folder: Path) -> dict[str, list[str]]:
    """What a run leaves that has to be the same: by kind, records as JSON."""
    from vrft_pl.runs import RunFolder

    run = RunFolder(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "weights": [digest(path) for path in sorted(files) if path.suffix == ".safetensors"],
        "completions": [text(record.row_of_json()) for record in run.completions()],
        "predictions": [text(record.row_of_json()) for record in run.predictions()],
        "metrics": [
            text({name: value for name, value in row.items() if not name.startswith("time/")}) for row in run.metrics()
        ],
        "W&B": sorted(in_wandb(folder / "wandb")),
        "summary": [text(without_clocks(run.summary()))],
        "checkpoints": sorted(path.name for path in run.checkpoints.iterdir()),
        "half-written files": [
            str(path.relative_to(folder)) for path in files if ".partial" in path.name or ".export" in str(path)
        ],
    }


def in_wandb(folder: Path) -> Iterator[str]:
    """Each number that is in the files of W&B, with its step and without its value: no two runs have equal seconds.

    Tables are left out: one that its process had not written yet when it was killed is in the run's own records alone.
    """
    from vrft_pl.runs.given import logged

    for path in folder.glob("offline-run-*/run-*.wandb"):
        for step, names in logged(path):
            yield from (f"{name} of step {step}" for name in names if "/" in name and not name.startswith(CLOCKED))


def text(record: Mapping[str, Any]) -> str:
    """A record that can be compared."""
    return json.dumps(record, sort_keys=True)


def digest(path: Path) -> str:
    """Of the content of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_clocks(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary without seconds."""
    parts = {name: value for name, value in summary.items() if name not in CLOCKS}
    return {name: without_clocks(value) if isinstance(value, dict) else value for name, value in parts.items()}


def difference(got: list[str], expected: list[str]) -> str:
    """How what a run left differs from what it should have left; empty where it does not."""
    if got == expected:
        return ""
    missing, more = Counter(expected) - Counter(got), Counter(got) - Counter(expected)
    parts = [
        f"{found.total()} {word}, such as {next(iter(found))[:SHOWN]}"
        for word, found in (("missing", missing), ("too many", more))
        if found
    ]
    if missing and more and (names := fields(next(iter(missing)), next(iter(more)))):
        parts.append(f"the first of each differ in {', '.join(names[:MOST_FIELDS])}")
    return "; ".join(parts) or "in another order"


def fields(first: str, second: str) -> list[str]:
    """Names of the fields that two records do not have in common, with both values."""
    if not (first.startswith("{") and second.startswith("{")):
        return []
    one, two = json.loads(first), json.loads(second)
    names = sorted(one.keys() | two.keys())
    return [f"{name} ({two.get(name)} for {one.get(name)})" for name in names if one.get(name) != two.get(name)]

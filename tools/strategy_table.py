"""Write what the test of strategies has measured into the table of `vrft_pl/distributed/README.md`.

python -m pytest -m "nightly or not nightly" tests/distributed/test_table.py -o junit_family=xunit1 --junitxml FILE
python tools/strategy_table.py FILE

Rows that were run apart may be given together, as several files; the last one that has a cell counts.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

README = Path(__file__).parents[1] / "vrft_pl" / "distributed" / "README.md"
TABLE = re.compile(r"^\|[^\n]*\n(?:\|[^\n]*\n)+", re.MULTILINE)


def read(path: Path) -> dict[str, dict[str, str]]:
    """Cells by strategy and column; that of no name says why there are none."""
    rows: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(path).iter("testcase"):
        if (match := re.fullmatch(r"test_two_processes_are_one\[(\w+)\]", case.get("name", ""))) is None:
            continue
        cells = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
        if (skipped := case.find("skipped")) is not None:
            cells[""] = f"not run here: {skipped.get('message')}"
        rows[match[1]] = cells
    return rows


def table(rows: dict[str, dict[str, str]]) -> str:
    """Rows of Markdown; a cell without a figure is a dash."""
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells if column))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    for strategy, cells in sorted(rows.items()):
        lines.append([f"`{strategy}`", *(cells.get(column, cells.get("", "-")) for column in columns)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|  |", "| |")


def main(args: Sequence[str] | None = None) -> None:
    """Read the files, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="what pytest wrote with --junitxml")
    parser.add_argument("--readme", type=Path, default=README, help="file whose first table is written anew")
    given = parser.parse_args(args)
    rows: dict[str, dict[str, str]] = {}
    for path in given.files:
        for strategy, cells in read(path).items():
            rows[strategy] = rows.get(strategy, {}) | cells
    written = table(rows)
    text = given.readme.read_text(encoding="utf-8")
    given.readme.write_text(TABLE.sub(lambda _: written, text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()

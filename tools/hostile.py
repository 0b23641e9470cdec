"""Gives the command line wrong inputs and writes a table of what it says: ``python tools/hostile.py [NAME ...]``.

Exits with 1 when an input shows a traceback, is accepted, exits with another code than it should, takes over 25 s or
2 GB, or leaves files behind. The seconds are those of the command alone, without the imports.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hostile_input.annotations import coco_files, folders
from hostile_input.case import Case, Cases
from hostile_input.checkpoints import contexts, policies, runs_checkpoints
from hostile_input.classes import classes, functions, together
from hostile_input.options import command_line, options
from hostile_input.pictures import pictures
from hostile_input.places import environments, places
from hostile_input.process import Outcome, run
from hostile_input.rows import json_rows, tables
from hostile_input.yamls import configs

KINDS = (
    command_line,
    options,
    classes,
    together,
    functions,
    configs,
    json_rows,
    tables,
    coco_files,
    folders,
    pictures,
    policies,
    contexts,
    runs_checkpoints,
    places,
    environments,
)
"""What makes the cases of each kind."""
MADE = "Made by `python tools/hostile.py > vrft_pl/commands/HOSTILE.md`, on a CPU that other programs used too.\n"
HEAD = "| input | exit code | seconds | MB | last line |\n|---|---|---|---|---|"
WIDEST = 300
"""Characters of a line that the table shows."""


def all_cases() -> Cases:
    """Every case by its name."""
    return {name: case for kind in KINDS for name, case in kind().items()}


def chosen(cases: Cases, names: Sequence[str]) -> Cases:
    """The cases whose names begin with one of these; all where there is none."""
    return {name: case for name, case in cases.items() if not names or name.startswith(tuple(names))}


def row(name: str, outcome: Outcome) -> str:
    """A line of the table."""
    cells = (shown(name), str(outcome.code), f"{outcome.seconds:.1f}", f"{outcome.megabytes:.0f}", shown(outcome.line))
    return f"| {' | '.join(cells)} |"


def shown(text: str) -> str:
    r"""A text as a cell, cut where it is long; outside of code `<` would begin a tag.

    Example:
        >>> shown("expected `<image>`, but got <image> | 2")
        'expected `<image>`, but got &lt;image> \\| 2'
    """
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text).replace("|", "\\|")
    text = text if len(text) <= WIDEST else f"{text[: WIDEST // 2]}...{text[-WIDEST // 2 :]}"
    return re.sub(r"`[^`]*`|<", lambda found: "&lt;" if found[0] == "<" else found[0], text)


def outcomes(cases: Cases) -> Iterable[tuple[str, Case, Outcome]]:
    """Carry out each case in an empty folder of its own."""
    for name, case in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            yield name, case, run(case, Path(folder))


def prepare() -> None:
    """Import what a run needs, once for all children."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    import transformers.models.qwen3_vl.modeling_qwen3_vl  # noqa: F401

    import vrft_pl.commands.check
    import vrft_pl.commands.evaluate
    import vrft_pl.commands.fit
    import vrft_pl.commands.merge
    import vrft_pl.commands.report  # noqa: F401


def main(args: Sequence[str] | None = None) -> None:
    """Print the table, and what is wrong below it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="beginnings of names, such as `option/`")
    parser.add_argument("--list", action="store_true", help="the names alone")
    given = parser.parse_args(args)
    cases = chosen(all_cases(), given.names)
    if given.list:
        print("\n".join(map(shown, cases)))
        return
    prepare()
    print(f"# Wrong inputs and what the command line says\n\n{MADE}\n{HEAD}")
    wrong: dict[str, list[str]] = {}
    for name, case, outcome in outcomes(cases):
        print(row(name, outcome), flush=True)
        if faults := outcome.faults(case):
            wrong[name] = faults
    kinds = Counter(name.partition("/")[0] for name in cases)
    print(
        f"\n{len(cases)} inputs ({', '.join(f'{kind} {count}' for kind, count in kinds.items())}), {len(wrong)} wrong."
    )
    for name, faults in wrong.items():
        print(f"- {shown(name)}: {'; '.join(faults)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

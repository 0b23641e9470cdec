"""The command line of a tool that prepares a data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vrft_pl.types import InputError

Prepare = Callable[[Path, Path], Mapping[str, int]]
"""Reads the first folder, writes into the second; returns rows by split."""


def run(prepare: Prepare, doc: str | None, args: Sequence[str] | None = None) -> None:
    """Read the arguments, prepare the data set and say what was written; one line and exit code 1 on bad input."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the data set as it was published")
    parser.add_argument("--output", type=Path, help="folder to write to; the same by default")
    options = parser.parse_args(args)
    output = options.output or options.folder
    try:
        if not options.folder.is_dir():
            raise InputError(f"Expected a folder at {options.folder}, but there is none.")
        counts = prepare(options.folder, output)
    except InputError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"Wrote {', '.join(f'{split} ({rows} rows)' for split, rows in counts.items())} to {output}")

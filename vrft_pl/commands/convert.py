"""``vrft_pl convert``: rows of other tools as rows that `ReasonJSON` reads."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vrft_pl.commands.errors import OneLineParser
from vrft_pl.data.foreign import converted, kind
from vrft_pl.data.images import below
from vrft_pl.data.sources.rows import image_paths, read_rows
from vrft_pl.runs.files import write_rows
from vrft_pl.types import InputError

FAMILIES = {
    "number": "vrft_pl.data.Counting",
    "box": "vrft_pl.data.Grounding",
    "text": "vrft_pl.data.Classification or vrft_pl.data.Structure",
}
"""What reads answers of a kind."""
BadRow = Literal["error", "skip"]


def main(args: Sequence[str]) -> None:
    """Convert, and say how to read what was written."""
    parser = OneLineParser(prog="vrft_pl convert", description=__doc__, allow_abbrev=False)
    parser.add_argument("rows", type=str, help="A .json or .jsonl file of TRL, ms-swift, VLM-R1 or LLaMA-Factory.")
    parser.add_argument("--output", type=str, required=True, help="The .jsonl file to write; it must not exist.")
    parser.add_argument("--image_root", type=str | None, help="Folder of the pictures. Defaults to that of the rows.")
    parser.add_argument("--answer", type=str | None, help="Column of the answer. Defaults to `solution` or the like.")
    parser.add_argument("--on_bad_row", type=BadRow, default="error", help="`skip` leaves a bad row out.")
    given = parser.parse_args(list(args))
    source, output = Path(given.rows), Path(given.output)
    if output.exists():
        raise InputError(f"Expected `output` to be a new file, but there is {output}. Name another one.")
    root = source.parent if given.image_root is None else Path(given.image_root)
    rows, bad = convert(source, root, given.answer, given.on_bad_row)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_rows(output, rows)
    if bad:
        print(f"Left out {len(bad)} of {len(bad) + len(rows)} rows. First: {bad[0]}", file=sys.stderr)
    kinds = Counter(kind(row["answer"]) for row in rows).most_common()
    print(f"Wrote {len(rows)} rows to {output}. Answers: {', '.join(f'{name} ({count})' for name, count in kinds)}.")
    print(f"A family for most of them: {FAMILIES[kinds[0][0]]}. As its `train`, or a part of its `val`:")
    print(f"{{class_path: vrft_pl.data.ReasonJSON, init_args: {{path: {output}, image_root: {root}}}}}")


def convert(path: Path, root: Path, answer: str | None, on_bad_row: BadRow) -> tuple[list[dict[str, Any]], list[str]]:
    """Convert the rows of a file.

    Args:
        path: The file.
        root: Folder of the pictures, each of which has to be there.
        answer: Column of the answer, if it is named.
        on_bad_row: Whether a bad row ends it.

    Returns:
        The rows, and what is wrong with those that were left out.

    Raises:
        InputError: If the file can't be read, a row is bad, or all of them are.
    """
    rows, bad = [], []
    for i, row in enumerate(read_rows(path)):
        owner = f"{path}, row {i}"
        try:
            made = converted(row, owner, answer)
            for picture in image_paths(made, owner):
                if not below(root, picture, owner).is_file():
                    raise InputError(f"{owner}: expected a picture at {root / picture}, but there is none.")
            rows.append(made)
        except InputError as error:
            if on_bad_row == "error":
                raise
            bad.append(str(error))
    if not rows:
        raise InputError(f"Expected at least one good row in {path}, but all {len(bad)} are bad: {bad[0]}")
    return rows, bad

"""``vrft_pl convert``: rows of other tools, or boxes of a COCO file, as rows that `ReasonJSON` reads.

A row with a video becomes one that `VideoJSON` reads, as it does those with pictures beside it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from vrft_pl.commands.errors import OneLineParser
from vrft_pl.data import COCOSingles
from vrft_pl.data.foreign import converted, kind
from vrft_pl.data.images import below
from vrft_pl.data.sources.rows import image_paths, read_rows
from vrft_pl.runs.rows import write_rows
from vrft_pl.types import InputError

FAMILIES = {
    "number": "vrft_pl.data.Counting",
    "box": "vrft_pl.data.Grounding",
    "objects": "vrft_pl.data.Detection",
    "text": "vrft_pl.data.Classification or vrft_pl.data.Structure",
}
"""What reads answers of a kind."""
EVERY = 6
"""Of so many pictures one is held out."""
DECIMALS = 3
"""Of coordinates: a right edge is a sum, and 12.3 + 210.8 is no 223.1 in binary."""
BadRow = Literal["error", "skip"]


def main(args: Sequence[str]) -> None:
    """Convert, and say how to read what was written."""
    parser = OneLineParser(prog="vrft_pl convert", description=__doc__, allow_abbrev=False)
    rows_help = "A .json or .jsonl file of TRL, ms-swift, VLM-R1 or LLaMA-Factory, or a COCO instances file."
    parser.add_argument("rows", type=str, help=rows_help)
    parser.add_argument("--output", type=str, required=True, help="The .jsonl file to write; it must not exist.")
    parser.add_argument("--image_root", type=str | None, help="Folder of the pictures. Defaults to that of the rows.")
    parser.add_argument("--answer", type=str | None, help="Column of the answer. Defaults to `solution` or the like.")
    parser.add_argument("--on_bad_row", type=BadRow, default="error", help="`skip` leaves a bad row out.")
    parser.add_argument("--held_out", type=str | None, help="A second .jsonl file, for rows of every sixth picture.")
    given = parser.parse_args(list(args))
    source, output = Path(given.rows), Path(given.output)
    held_out = None if given.held_out is None else Path(given.held_out)
    for name, path in {"output": output, "held_out": held_out}.items():
        if path is not None and path.exists():
            raise InputError(f"Expected `{name}` to be a new file, but there is {path}. Name another one.")
    root = source.parent if given.image_root is None else Path(given.image_root)
    rows, bad = convert(source, root, given.answer, given.on_bad_row)
    apart: list[dict[str, Any]] = []
    if held_out is not None:
        rows, apart = parted(rows)
        write(held_out, apart)
    write(output, rows)
    if bad:
        print(f"Left out {len(bad)} of {len(bad) + len(rows)} rows. First: {bad[0]}", file=sys.stderr)
    kinds = Counter(kind(row["answer"]) for row in rows).most_common()
    beside = f", and {len(apart)} of every sixth picture to {held_out}" if apart else ""
    told = ", ".join(f"{name} ({count})" for name, count in kinds)
    print(f"Wrote {len(rows)} rows to {output}{beside}. Answers: {told}.")
    print(f"A family for most of them: {FAMILIES[kinds[0][0]]}. As its `train`, or a part of its `val`:")
    reads = "VideoJSON" if any("video" in row for row in rows) else "ReasonJSON"
    print(f"{{class_path: vrft_pl.data.{reads}, init_args: {{path: {output}, image_root: {root}}}}}")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows into a file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, rows)


def parted(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take the rows of every sixth picture apart, by name, so that no picture is on both sides.

    Raises:
        InputError: If there are fewer pictures.
    """
    first = [next(iter(files_of(row, f"row {i}")), "") for i, row in enumerate(rows)]
    chosen = set(sorted(set(first))[EVERY - 1 :: EVERY])
    if not chosen:
        raise InputError(f"Expected at least {EVERY} pictures to hold some out, but got {len(set(first))}.")
    apart = [row for row, picture in zip(rows, first, strict=True) if picture in chosen]
    return [row for row, picture in zip(rows, first, strict=True) if picture not in chosen], apart


def convert(path: Path, root: Path, answer: str | None, on_bad_row: BadRow) -> tuple[list[dict[str, Any]], list[str]]:
    """Convert the rows of a file.

    Args:
        path: The file.
        root: Folder of the pictures, each of which has to be there.
        answer: Column of the answer, if it is named.
        on_bad_row: Whether a bad row, or a last line that is cut, ends it.

    Returns:
        The rows, and what is wrong with those that were left out.

    Raises:
        InputError: If the file can't be read, a row is bad, or all of them are.
    """
    rows: list[dict[str, Any]] = []
    bad: list[str] = []
    boxes, cut = is_coco(path), bad if on_bad_row == "skip" else None
    for i, row in enumerate(located(path, root) if boxes else read_rows(path, cut)):
        owner = f"{path}, row {i}"
        try:
            made = row if boxes else converted(row, owner, answer)
            for name in files_of(made, owner):
                if not os.path.isfile(below(root, name, owner)):  # also false for what no file can be called
                    what = "video" if "video" in made else "picture"
                    raise InputError(f"{owner}: expected a {what} at {root / name}, but there is none.")
            rows.append(made)
        except InputError as error:
            if on_bad_row == "error":
                raise
            bad.append(str(error))
    if not rows:
        raise InputError(f"Expected at least one good row in {path}, but all {len(bad)} are bad: {bad[0]}")
    return rows, bad


def files_of(row: dict[str, Any], owner: str) -> list[str]:
    """The video of a row of ours, or its pictures."""
    return [row["video"]] if "video" in row else image_paths(row, owner)


def is_coco(path: Path) -> bool:
    """Whether a file holds one object of lists, as COCO's, and not a list of rows."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(64).lstrip().startswith("{")


def located(path: Path, root: Path) -> Iterator[dict[str, Any]]:
    """A question for each category that occurs once in a picture of a COCO file: where is it?"""
    source = COCOSingles(str(path), str(root))
    for (_, picture, _, _), record in zip(source.rows, source, strict=True):
        yield {
            "image": picture,
            "problem": record.problem,
            "answer": [round(value, DECIMALS) for value in record.answer.xyxy],
        }

"""Prepare NLVR's drawn boxes for counting and grounding: {counting,grounding}_{train,val,test}.jsonl and images/.

python tools/prepare_nlvr.py ../shared/data/nlvr --output data/nlvr

The folder holds dev.jsonl and test.jsonl of NLVR (Suhr et al. 2017), with the place of every shape, and pictures. Each
of a picture's three boxes becomes a picture of its own, those that share their boxes (ids ``N-k``) once. Of dev every
sixth ``N`` is for validation and the others to train on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from prepare.command import run
from prepare.files import first_of, read_lines, relative, write_splits

from vrft_pl.types import InputError

SIDE, STEP = 100, 150
"""Pixels of a box, and from the left edge of one to that of the next."""
EVERY = 6
"""Of so many pictures one is for validation."""
COLOURS = {"Yellow": "yellow", "Black": "black", "#0099ff": "blue"}


class Drawn(NamedTuple):
    """One box of a picture."""

    id: str
    image: str
    """Path of its own picture, from the folder of the rows."""
    shapes: list[Mapping[str, Any]]


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Cut the boxes out, and write a question about each."""
    dev, test = (list(pictures(first_of(folder, f"{split}.jsonl"))) for split in ("dev", "test"))
    val = dev[EVERY - 1 :: EVERY]
    splits = {"train": [row for row in dev if row not in val], "val": val, "test": test}
    counts: dict[str, int] = {}
    for split, rows in splits.items():
        drawn = [box for row in rows for box in boxes(row, folder, output)]
        counts |= write_splits(output, {f"counting_{split}": [counted(box) for box in drawn]})
        found = [row for box in drawn if (row := located(box)) is not None]
        counts |= write_splits(output, {f"grounding_{split}": found})
    return counts


def pictures(path: Path) -> Iterator[dict[str, Any]]:
    """The first row of each picture, in the order of the file.

    Raises:
        InputError: If a row is none of NLVR's.
    """
    seen = set()
    for i, line in enumerate(read_lines(path)):
        try:
            row = json.loads(line)
            number, three = row["id"].split("-")[0], [list(map(checked, shapes)) for shapes in row["boxes"]]
            if len(three) != 3 or not all(three) or not isinstance(row["image"], str):
                raise ValueError("no three boxes")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, row {i}: expected a row of NLVR, but got {line[:80]!r}.") from error
        if number not in seen:
            seen.add(number)
            yield row


def checked(shape: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a shape that has all of its parts; raises what a wrong one raises."""
    COLOURS[shape["color"]], str(shape["type"]), [float(shape[key]) for key in ("x_loc", "y_loc", "size")]
    return shape


def boxes(row: Mapping[str, Any], folder: Path, output: Path) -> Iterator[Drawn]:
    """Cut the three boxes of a picture out; what is transparent becomes white."""
    path = folder / row["image"]
    relative(path, output)  # says which picture is missing
    with Image.open(path) as file:
        drawn = file.convert("RGBA")
    page = Image.new("RGB", drawn.size, "white")
    page.paste(drawn, mask=drawn.getchannel("A"))
    (output / "images").mkdir(parents=True, exist_ok=True)
    for i, shapes in enumerate(row["boxes"]):
        name = f"images/{row['id']}-{'abc'[i]}.png"
        page.crop((i * STEP, 0, i * STEP + SIDE, SIDE)).save(output / name)
        yield Drawn(f"{row['id']}-{'abc'[i]}", name, shapes)


def counted(box: Drawn) -> dict[str, object]:
    """Ask for the number of shapes in the colour that most have; the thoughts count the quarters from top to bottom."""
    colours = Counter(shape["color"] for shape in box.shapes)
    colour = max(sorted(colours), key=lambda name: colours[name])
    rows = Counter(quarter(shape["y_loc"] + shape["size"] / 2) for shape in box.shapes if shape["color"] == colour)
    return {
        "id": box.id,
        "image": box.image,
        "problem": f"How many {COLOURS[colour]} objects are there?",
        "answer": colours[colour],
        "cot": " ".join(str(rows[i]) for i in range(4)),
    }


def located(box: Drawn) -> dict[str, object] | None:
    """Ask for the first shape that no other is like; ``None`` where each has its like."""
    kinds = Counter((shape["color"], shape["type"]) for shape in box.shapes)
    for shape in box.shapes:
        if kinds[shape["color"], shape["type"]] == 1:
            left, top, side = shape["x_loc"], shape["y_loc"], shape["size"]
            row, column = quarter(top + side / 2) + 1, quarter(left + side / 2) + 1
            return {
                "id": box.id,
                "image": box.image,
                "problem": f"Locate the {COLOURS[shape['color']]} {shape['type']}.",
                "answer": [left, top, min(left + side, SIDE), min(top + side, SIDE)],
                "cot": f"row {row} column {column}",
            }
    return None


def quarter(place: float) -> int:
    """Which quarter of a side a place is in, from 0."""
    return min(3, int(place * 4 / SIDE))


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

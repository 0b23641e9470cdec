"""Prepare FGVC-Aircraft for classification of variants: train.csv, val.csv, test.csv, classes.txt.

python tools/prepare_fgvc_aircraft.py fgvc-aircraft-2013b --output data/fgvc_aircraft

The folder is the unpacked archive of https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/, which holds
data/images_variant_{train,val,test}.txt, data/variants.txt and data/images/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prepare.command import run
from prepare.files import Labelled, first_of, read_lines, write_classes

from vrft_pl.types import InputError

SPLITS = ("train", "val", "test")


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write the official splits (3334, 3333 and 3333 pictures)."""
    names = read_lines(first_of(folder, "data/variants.txt"))
    splits: dict[str, list[Labelled]] = {}
    for split in SPLITS:
        path = first_of(folder, f"data/images_variant_{split}.txt")
        splits[split] = []
        for line in read_lines(path):
            picture, _, name = line.partition(" ")
            if name not in names:
                raise InputError(f"{path}: expected a picture and a name out of variants.txt, but got {line!r}.")
            splits[split].append((folder / f"data/images/{picture}.jpg", name))
    return write_classes(output, splits, names, {})


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

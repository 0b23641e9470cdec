"""Prepare clothing-dataset-small for classification: {cold,train,val,test}.csv and classes.txt.

python tools/prepare_clothing.py ../shared/data/clothing --output data/clothing

The folder holds train/, validation/ and test/, a folder a class in each, as published. The first eight training
photographs of each class, by name, are for a cold start that teaches a policy the names; train.csv has the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prepare.command import run
from prepare.files import Labelled, write_classes

from vrft_pl.data.sources.folders import ImageFolder

COLD = 8
"""Photographs of each class for the cold start."""


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write the published splits, that of training in two parts."""
    train, val, test = (pictures(folder / split) for split in ("train", "validation", "test"))
    names = sorted({name for _, name in train})
    cold = [row for name in names for row in [row for row in train if row[1] == name][:COLD]]
    rest = [row for row in train if row not in cold]
    return write_classes(output, {"cold": cold, "train": rest, "val": val, "test": test}, names, {})


def pictures(root: Path) -> list[Labelled]:
    """Photographs and their classes, in the order of names."""
    return [(root / path, name) for path, name in ImageFolder(str(root)).rows]


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

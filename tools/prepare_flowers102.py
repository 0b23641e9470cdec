"""Prepare Oxford Flowers-102 for classification: train.csv, val.csv, test.csv, classes.txt, aliases.json.

python tools/prepare_flowers102.py data/flowers102

The folder holds imagelabels.mat, setid.mat and the unpacked jpg/ of
https://www.robots.ox.ac.uk/~vgg/data/flowers/102/. Class names are not in the download: they are those of torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prepare.command import run
from prepare.files import Labelled, first_of, pick, read_mat, write_classes
from torchvision.datasets import Flowers102

SPLITS = {"train": "trnid", "val": "valid", "test": "tstid"}
PUBLISHED: list[str] = Flowers102.classes
NAMES = [name.rstrip("?").replace("'", "") for name in PUBLISHED]
ALIASES = {name.replace("'", ""): [name] for name in PUBLISHED if "'" in name}


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write the official splits (1020, 1020 and 6149 pictures)."""
    ids = first_of(folder, "setid.mat")
    labels = read_mat(first_of(folder, "imagelabels.mat"), "labels")
    splits: dict[str, list[Labelled]] = {}
    for split, variable in SPLITS.items():
        splits[split] = []
        for number in read_mat(ids, variable):
            label = pick(labels, number, f"{ids}, {variable}")
            name = pick(NAMES, label, f"imagelabels.mat, picture {number}")
            splits[split].append((folder / f"jpg/image_{int(number):05d}.jpg", name))
    return write_classes(output, splits, NAMES, ALIASES)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

"""Prepare the Oxford-IIIT Pet data set for classification: train.csv, test.csv, classes.txt.

python tools/prepare_pets37.py data/pets37

The folder holds the unpacked images/ and annotations/ (trainval.txt, test.txt) of
https://www.robots.ox.ac.uk/~vgg/data/pets/. The breed is the name of the picture without its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prepare.command import run
from prepare.files import Labelled, first_of, read_lines, write_classes

from vrft_pl.types import InputError

SPLITS = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write the official splits (3680 and 3669 pictures); classes are in the order of their number."""
    names: dict[int, str] = {}
    splits: dict[str, list[Labelled]] = {}
    for split, file in SPLITS.items():
        path = first_of(folder, file)
        splits[split] = [labelled(line, folder, path, names) for line in read_lines(path)]
    return write_classes(output, splits, [names[number] for number in sorted(names)], {})


def labelled(line: str, folder: Path, path: Path, names: dict[int, str]) -> Labelled:
    """Read a line such as ``Basset_Hound_12 5 2 3``: picture, class, species, breed; note the name of the class.

    Raises:
        InputError: If it is no such line, or its class has had another name before.
    """
    match line.split():
        case [picture, number, *_] if "_" in picture and number.isdecimal():
            name = picture.rsplit("_", 1)[0].replace("_", " ").lower()
        case _:
            raise InputError(f"{path}: expected a line such as `Basset_Hound_12 5 2 3`, but got {line!r}.")
    if names.setdefault(int(number), name) != name:
        raise InputError(
            f"{path}: expected class {number} to be {names[int(number)]!r} in {line!r}, but it is {name!r}."
        )
    return folder / f"images/{picture}.jpg", name


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

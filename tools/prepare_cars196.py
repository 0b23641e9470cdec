"""Prepare Stanford Cars for classification: train.csv, test.csv, classes.txt, aliases.json.

python tools/prepare_cars196.py data/cars196

The folder holds cars_train/, cars_test/, devkit/ (cars_meta.mat, cars_train_annos.mat) and, there or in devkit/,
cars_test_annos_withlabels.mat. As in Visual-RFT a name begins with the year ("2012 Audi S4 Sedan"); the published order
("Audi S4 Sedan 2012") is an alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prepare.command import run
from prepare.files import Labelled, first_of, pick, read_mat, write_classes

from vrft_pl.types import InputError

SPLITS = {
    "train": ("devkit/cars_train_annos.mat", "cars_train_annos.mat"),
    "test": ("cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat"),
}


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write the official splits (8144 and 8041 pictures)."""
    meta = first_of(folder, "devkit/cars_meta.mat", "cars_meta.mat")
    published = [str(name) for name in read_mat(meta, "class_names")]
    names = [year_first(name) for name in published]
    splits = {
        split: annotated(first_of(folder, *files), folder / f"cars_{split}", names) for split, files in SPLITS.items()
    }
    aliases = {name: [before] for name, before in zip(names, published, strict=True) if name != before}
    return write_classes(output, splits, names, aliases)


def annotated(path: Path, images: Path, names: list[str]) -> list[Labelled]:
    """Read the picture and class of each annotation.

    Raises:
        InputError: If an annotation lacks one of them.
    """
    rows = read_mat(path, "annotations")
    if missing := {"fname", "class"} - set(rows.dtype.names or ()):
        raise InputError(f"{path}: expected fields `fname` and `class`, but {sorted(missing)} are missing.")
    return [(images / str(row["fname"]), pick(names, row["class"], f"{path}, {row['fname']}")) for row in rows]


def year_first(name: str) -> str:
    """Move the year from the end to the front."""
    rest, _, year = name.rpartition(" ")
    return f"{year} {rest}" if year.isdecimal() and len(year) == 4 and rest else name


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

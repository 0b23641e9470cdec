"""Prepare Omniglot for few-shot classification: handwritten characters, 105 x 105 pixels.

python tools/prepare_omniglot.py DOWNLOADED --output data/omniglot                  # the 20 official one-shot runs
python tools/prepare_omniglot.py DOWNLOADED --output data/omniglot --split small1   # or small2: 5 alphabets each

The folder holds the zip files of https://github.com/brendenlake/omniglot as published: all_runs.zip, or
images_background_small1.zip or _small2.zip.

Runs become OUTPUT/runs/runNN with train.csv (one drawing a class), test.csv (the official answers) and classes.txt. The
published runs have no names of classes; here class01 is called a, class02 b, and so on to t.

Alphabets become OUTPUT/small1/ALPHABET with a folder a character, train.csv, val.csv, test.csv and classes.txt. Splits
are by drawer: of the 20 people who drew each character the first 4 are for training, the next 4 for validation and the
rest for testing, so that no hand of an alphabet is in two splits. For fewer drawings a class, draw them from train.csv
with `FewShot`; the other splits stay the same.
"""

from __future__ import annotations

import argparse
import re
import string
import sys
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from prepare.files import write_classes

from vrft_pl.types import InputError

ARCHIVES = {
    "runs": "all_runs.zip",
    "small1": "images_background_small1.zip",
    "small2": "images_background_small2.zip",
}
RUN_FILE = re.compile(r"run\d\d/(?:(?:training/class|test/item)\d\d\.png|class_labels\.txt)", re.ASCII)
CHARACTER_FILE = re.compile(r"images_background_small[12]/[\w()]+/character\d\d/\d{4}_\d\d\.png", re.ASCII)
CLASSES = string.ascii_lowercase[:20]
"""Names of the classes of a run; neutral, and no two alike for `LabelMatch`."""
LARGEST = 1 << 20
"""Bytes of a file that is still unpacked; drawings have some 300."""


def prepare_runs(archive: Path, output: Path) -> Counter[str]:
    """Unpack the one-shot runs. Returns rows by split."""
    files = read_archive(archive, RUN_FILE)
    counts: Counter[str] = Counter()
    for run in sorted({name.split("/")[0] for name in files}):
        owner, folder = f"{archive}, {run}", output / run
        inside = {name.removeprefix(f"{run}/"): files[name] for name in files if name.startswith(f"{run}/")}
        answers = read_answers(inside.pop("class_labels.txt", b""), run, owner)
        labels = {f"training/class{number:02d}.png": label for number, label in enumerate(CLASSES, 1)}
        if set(inside) != set(answers) | set(labels):
            raise InputError(f"{owner}: expected 20 drawings to train on, and an answer for every one to test on.")
        if unknown := sorted(set(answers.values()) - set(labels)):
            raise InputError(f"{owner}: expected every answer to be a drawing to train on, but got {unknown[0]}.")
        write_drawings(inside, folder)
        train = [(folder / name, label) for name, label in labels.items()]
        test = [(folder / name, labels[answer]) for name, answer in sorted(answers.items())]
        counts.update(write_classes(folder, {"train": train, "test": test}, CLASSES, {}))
    return counts


def prepare_alphabets(archive: Path, output: Path, train: int, val: int) -> Counter[str]:
    """Unpack the alphabets of a background set, and split each by drawer.

    Args:
        archive: The zip file.
        output: Folder of the alphabets.
        train: Drawers of each character to train on.
        val: Drawers to validate on; the others are to test on.

    Returns:
        Rows by split.
    """
    files = read_archive(archive, CHARACTER_FILE)
    alphabets: dict[str, dict[str, bytes]] = {}
    for name, content in sorted(files.items()):
        _, alphabet, drawing = name.split("/", 2)
        alphabets.setdefault(alphabet, {})[drawing] = content
    counts: Counter[str] = Counter()
    for alphabet, drawings in alphabets.items():
        folder = output / alphabet
        splits = split_by_drawer(sorted(drawings), f"{archive}, {alphabet}", train, val)
        write_drawings(drawings, folder)
        rows = {split: [(folder / name, name.split("/")[0]) for name in names] for split, names in splits.items()}
        counts.update(write_classes(folder, rows, sorted({name.split("/")[0] for name in drawings}), {}))
    return counts


def split_by_drawer(drawings: Sequence[str], owner: str, train: int, val: int) -> dict[str, list[str]]:
    """Split the drawings of an alphabet, ``character01/0108_01.png``, by who drew them: the number at the end.

    Raises:
        InputError: If a character lacks a drawer, or nobody is left to test on.
    """
    by_drawer: dict[str, list[str]] = {}
    for name in drawings:
        by_drawer.setdefault(name[-6:-4], []).append(name)
    characters = {name.split("/")[0] for name in drawings}
    for drawer, names in by_drawer.items():
        if len(names) != len(characters):
            raise InputError(
                f"{owner}: expected {len(characters)} characters of drawer {drawer}, but got {len(names)} drawings."
            )
    people = sorted(by_drawer)
    if train + val >= len(people):
        raise InputError(
            f"{owner}: expected more than {train + val} drawers, so that some are left to test on, "
            f"but got {len(people)}."
        )
    parts = {"train": people[:train], "val": people[train : train + val], "test": people[train + val :]}
    return {split: sorted(name for p in part for name in by_drawer[p]) for split, part in parts.items() if part}


def read_archive(path: Path, expected: re.Pattern[str]) -> Mapping[str, bytes]:
    """Read the files of an archive into memory, hidden ones left out.

    Only what has the name of a published file is read, so nothing is ever written outside the output folder.

    Raises:
        InputError: If the archive is missing or damaged, or holds another file.
    """
    if not path.is_file():
        raise InputError(f"Expected {path.name} in {path.parent}, but there is no such file.")
    files: dict[str, bytes] = {}
    try:
        with ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename
                if info.is_dir() or name.startswith("__MACOSX/") or name.endswith("/.DS_Store"):
                    continue
                if not expected.fullmatch(name) or info.file_size > LARGEST:
                    raise InputError(f"{path}: expected files of Omniglot alone, but got {name[:80]!r}.")
                files[name] = archive.read(info)
    except (OSError, BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: expected a whole zip file, but it is damaged ({error}). Download it again."
        ) from error
    if not files:
        raise InputError(f"{path}: expected files of Omniglot, but it is empty.")
    return files


def read_answers(content: bytes, run: str, owner: str) -> dict[str, str]:
    """Read the official answers of a run: the drawing to train on that shows the same character as each to test on.

    Raises:
        InputError: If a line is no pair of files of the run, or a drawing has two answers.
    """
    pair = re.compile(rf"{run}/(test/item\d\d\.png)\s+{run}/(training/class\d\d\.png)\s*", re.ASCII)
    answers: dict[str, str] = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        match = pair.fullmatch(line)
        if match is None or match[1] in answers:
            raise InputError(
                f"{owner}, class_labels.txt, line {number}: expected a drawing to test on and its answer, "
                f"but got {line[:80]!r}."
            )
        answers[match[1]] = match[2]
    return answers


def write_drawings(files: Mapping[str, bytes], folder: Path) -> None:
    """Write drawings, each under its name in ``folder``."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command; one line and exit code 1 on bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the zip files as they were published")
    parser.add_argument("--output", type=Path, default=Path("data/omniglot"), help="folder to write to")
    parser.add_argument("--split", choices=sorted(ARCHIVES), default="runs", help="what to unpack")
    parser.add_argument("--train", type=int, default=4, help="drawers to train on, of each character of an alphabet")
    parser.add_argument("--val", type=int, default=4, help="drawers to validate on")
    options = parser.parse_args(args)
    if options.train < 1 or options.val < 0:
        parser.error(f"expected --train of at least 1 and --val of at least 0, but got {options.train}, {options.val}")
    archive = options.folder / ARCHIVES[options.split]
    try:
        if options.split == "runs":
            counts = prepare_runs(archive, options.output / "runs")
        else:
            counts = prepare_alphabets(archive, options.output / options.split, options.train, options.val)
    except InputError as error:
        print(f"prepare_omniglot: {error}", file=sys.stderr)
        sys.exit(1)
    rows = ", ".join(f"{split} ({number} rows)" for split, number in counts.items())
    print(f"Wrote {rows} to {options.output / options.split}")


if __name__ == "__main__":
    main()

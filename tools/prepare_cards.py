"""Prepare photographs of one playing card for grounding: train.jsonl, val.jsonl and test.jsonl.

python tools/prepare_cards.py ../shared/data/cards --output data/cards

The folder holds train.json and test.json, COCO files of the photographs of EdjeElectronics' object detection tutorial,
and images/. Every sixth of the training photographs with one card, by name, is for validation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from prepare.command import run
from prepare.files import first_of, relative, write_splits
from prepare_refcoco import corners

from vrft_pl.data.sources.coco import read_coco

EVERY = 6
"""Of so many training photographs one is for validation."""


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write one row for each photograph of one card; boxes are xyxy pixels."""
    train = single_cards(first_of(folder, "train.json"), first_of(folder, "images"), output)
    val = train[EVERY - 1 :: EVERY]
    test = single_cards(first_of(folder, "test.json"), first_of(folder, "images"), output)
    return write_splits(output, {"train": [row for row in train if row not in val], "val": val, "test": test})


def single_cards(path: Path, images: Path, output: Path) -> list[dict[str, object]]:
    """Read the photographs of one card in a COCO file, in the order of their names."""
    coco = read_coco(path)
    kinds = {category["id"]: category["name"] for category in coco["categories"]}
    files = {image["id"]: image["file_name"] for image in coco["images"]}
    cards = Counter(annotation["image_id"] for annotation in coco["annotations"])
    rows: list[dict[str, object]] = [
        {
            "id": Path(files[annotation["image_id"]]).stem,
            "image": relative(images / files[annotation["image_id"]], output),
            "problem": f"Locate the {kinds[annotation['category_id']]}.",
            "answer": corners(annotation["bbox"], f"{path}, annotation {annotation['id']}"),
        }
        for annotation in coco["annotations"]
        if cards[annotation["image_id"]] == 1
    ]
    return sorted(rows, key=lambda row: str(row["id"]))


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

"""Prepare the data set of Reason-RFT for counting, structure perception and spatial transformation.

python tools/prepare_reason_rft.py Reason-RFT-CoT-Dataset --output data/reason_rft

The folder is a copy of the data set tanhuajie2001/Reason-RFT-CoT-Dataset of the Hugging Face hub with both archives of
pictures unpacked: train_jsons/, test_jsons/ and images/, as the README of https://github.com/tanhuajie/Reason-RFT shows
them. What picture paths are relative to is not documented there: the folder, images/ and its two subfolders are tried.

Writes, for each family, <family>_sft.jsonl (the 1600 first rows, for stage 1), <family>_grpo.jsonl (the rest, for stage
2; for structure all rows, as in the paper) and the evaluation sets <family>_id.jsonl and <family>_ood*.jsonl.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prepare.command import run
from prepare.files import first_of, relative, write_splits

from vrft_pl.data.sources.rows import image_paths, read_rows
from vrft_pl.types import InputError

TRAIN = {
    "counting": "train_jsons/A3-Visual-Counting-train-35k-cot.json",
    "structure": "train_jsons/A2-Structure-Perception-train-4k5-cot.json",
    "spatial": "train_jsons/A1-Spatial-Transformation-train-60k-cot.json",
}
TEST = {
    "counting_id": "test_jsons/Visual-Counting-id-test-1k.json",
    "counting_ood": "test_jsons/Visual-Counting-ood-test-1k.json",
    "structure_id": "test_jsons/Structure-Perception-id-test-820.json",
    "structure_ood": "test_jsons/Structure-Perception-ood-test-800.json",
    "spatial_id": "test_jsons/Spatial-Transformation-id-test-1k.json",
    "spatial_ood_left": "test_jsons/Spatial-Transformation-ood-left-test-1k.json",
    "spatial_ood_right": "test_jsons/Spatial-Transformation-ood-right-test-1k.json",
}
STAGE_1 = 1600
"""Rows of the first stage: "we use the first 1600 samples" (issue 27 of the repository)."""
WHOLE = ("structure",)
"""Families whose second stage trains on every row."""
ROOTS = ("images", "", "images/train_images", "images/test_images", "train_images", "test_images")


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write the training sets of both stages and the evaluation sets."""
    splits: dict[str, list[dict[str, Any]]] = {}
    for family, file in TRAIN.items():
        rows = read_meta(folder, file, output)
        if len(rows) <= STAGE_1:
            raise InputError(f"Expected more than {STAGE_1} rows in {folder / file}, but got {len(rows)}.")
        missing = next((i for i, row in enumerate(rows[:STAGE_1]) if not row.get("cot")), None)
        if missing is not None:
            raise InputError(f"{folder / file}, row {missing}: expected a chain of thought `cot`, but there is none.")
        splits[f"{family}_sft"] = rows[:STAGE_1]
        splits[f"{family}_grpo"] = rows if family in WHOLE else rows[STAGE_1:]
    splits |= {split: read_meta(folder, file, output) for split, file in TEST.items()}
    return write_splits(output, splits)


def read_meta(folder: Path, file: str, output: Path) -> list[dict[str, Any]]:
    """Read rows and make the paths of their pictures relative to the output.

    Raises:
        InputError: If the file or a picture is missing, or a row has no picture.
    """
    path = first_of(folder, file)
    rows = read_rows(path)
    root = None
    prepared = []
    for i, row in enumerate(rows):
        paths = image_paths(row, f"{path}, row {i}")
        if not paths:
            raise InputError(f"{path}, row {i}: expected `image` to name a picture, but got none.")
        root = picture_root(folder, paths[0]) if root is None else root
        pictures = [relative(root / name, output) for name in paths]
        kept = {key: value for key, value in row.items() if key not in ("image", "images")}
        prepared.append({**kept, "image": pictures if len(pictures) > 1 else pictures[0]})
    return prepared


def picture_root(folder: Path, name: str) -> Path:
    """Find the folder that the paths of a file are relative to.

    Raises:
        InputError: If the picture is in none of them.
    """
    for root in ROOTS:
        if (folder / root / name).is_file():
            return folder / root
    raise InputError(
        f"Expected the picture {name} in {folder / 'images'}, but there is no such file. Unpack train_images.zip and "
        "test_images.zip there."
    )


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

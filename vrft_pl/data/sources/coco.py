"""COCO ``instances`` files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from string import Formatter
from typing import Any

from vrft_pl.data.images import FileImage
from vrft_pl.data.sources.base import Record, Source, check_limit
from vrft_pl.types import InputError


class COCOSingles(Source):
    """Categories that occur exactly once in an image of a COCO ``instances`` file: "Locate the ...".

    Args:
        annotations: The instances JSON.
        image_root: Folder of the images.
        categories: Category names to ask for. Defaults to all.
        question: Template of the question; ``{category}`` is replaced.
        exclude_crowd: Leave out images in which the category has a crowd annotation.
        limit: Number of rows to use, from the start.

    Raises:
        InputError: If the file is no COCO instances file, names an unknown category, or yields no row.
        ValueError: If ``limit`` is below 1.
    """

    def __init__(
        self,
        annotations: str,
        image_root: str,
        categories: list[str] | None = None,
        question: str = "Locate the {category}.",
        exclude_crowd: bool = True,
        limit: int | None = None,
    ) -> None:
        check_limit(limit)
        if not {name for _, name, _, _ in Formatter().parse(question) if name} <= {"category"}:
            raise ValueError(f"Expected `question` to have no field but {{category}}, but got {question!r}.")
        self.path, self.image_root, self.question = Path(annotations), Path(image_root), question
        coco = read_coco(self.path)
        self.names = {category["id"]: category["name"] for category in coco["categories"]}
        if unknown := set(categories or ()) - set(self.names.values()):
            raise InputError(
                f"Expected `categories` of {self.path} to be among {sorted(self.names.values())}, "
                f"but got {sorted(unknown)}."
            )
        self.images = {image["id"]: image for image in coco["images"]}
        count = Counter((a["image_id"], a["category_id"]) for a in coco["annotations"])
        crowds = {(a["image_id"], a["category_id"]) for a in coco["annotations"] if a.get("iscrowd")}
        self.rows = [
            a
            for a in coco["annotations"]
            if count[key := (a["image_id"], a["category_id"])] == 1
            and not (exclude_crowd and key in crowds)
            and (categories is None or self.names[a["category_id"]] in categories)
        ][:limit]
        if not self.rows:
            raise InputError(f"Expected {self.path} to hold a category that occurs once in an image, but none does.")

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read question ``index``; its answer is an xyxy box in pixels of the image."""
        annotation = self.rows[index]
        owner = f"{self.path}, annotation {annotation['id']}"
        image = FileImage(self.image_root / str(self.images[annotation["image_id"]]["file_name"]), owner)
        problem = self.question.format(category=self.names[annotation["category_id"]])
        box = annotation["bbox"]
        if not (isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box)):
            raise InputError(f"{owner}: expected `bbox` to be [x, y, width, height], but got {box!r}.")
        x, y, width, height = box
        return Record(owner, (image,), problem, [x, y, x + width, y + height])


def read_coco(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a COCO ``instances`` file and check the keys that every reader needs.

    Raises:
        InputError: If the file is missing, not JSON, or lacks images, annotations or categories or one of their keys.
    """
    try:
        coco = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Expected a COCO instances file at {path}, but it can't be read: {error}.") from error
    needed = {"images": ("id", "file_name"), "annotations": ("id", "image_id", "category_id", "bbox")}
    for part, keys in (needed | {"categories": ("id", "name")}).items():
        rows = coco.get(part) if isinstance(coco, dict) else None
        if not isinstance(rows, list):
            raise InputError(f"Expected {path} to be a COCO instances file, but it has no list `{part}`.")
        for i, row in enumerate(rows):
            if missing := [key for key in keys if not isinstance(row, dict) or key not in row]:
                raise InputError(f"{path}: expected `{missing[0]}` in `{part}[{i}]`, but it is missing.")
            if wrong := [key for key in keys if key != "bbox" and not isinstance(row[key], int | str)]:
                raise InputError(f"{path}: expected `{wrong[0]}` in `{part}[{i}]` to be a number or text.")
    known_images = {image["id"] for image in coco["images"]}
    known_categories = {category["id"] for category in coco["categories"]}
    for annotation in coco["annotations"]:
        if annotation["image_id"] not in known_images or annotation["category_id"] not in known_categories:
            raise InputError(
                f"{path}: annotation {annotation['id']} names an image or category that is not in the file."
            )
    return coco

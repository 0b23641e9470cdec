"""COCO ``instances`` files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vrft_pl.answers import XYXY, Box
from vrft_pl.data.boxes import is_number
from vrft_pl.data.images import FileImage, below, regular
from vrft_pl.data.sources.annotated import AnnotatedImage, AnnotatedImages, AnnotatedObject, declared_size
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.detection import DetectionQuestions
from vrft_pl.data.splits import resolve_categories
from vrft_pl.templates import fields_of
from vrft_pl.types import InputError


class COCOSingles(Source):
    """Categories that occur exactly once in an image of a COCO ``instances`` file: "Locate the ...".

    Args:
        annotations: The instances JSON.
        image_root: Folder of the images.
        categories: As for `COCODetection`.
        question: Template of the question; ``{category}`` is replaced.
        exclude_crowd: Leave out images in which the category has a crowd annotation.

    Raises:
        InputError: If the file is no COCO instances file, lacks a category asked for, or yields no row.
        ValueError: If ``question`` has another field, or ``categories`` is no set of them.
    """

    def __init__(
        self,
        annotations: str,
        image_root: str,
        categories: list[str] | str | None = None,
        question: str = "Locate the {category}.",
        exclude_crowd: bool = True,
    ) -> None:
        check_question(question)
        self.path, self.image_root, self.question = Path(annotations), Path(image_root), question
        coco = read_coco(self.path)
        names = {row["id"]: row["name"] for row in coco["categories"]}
        asked = resolve_categories(categories, list(names.values()), str(self.path), frequencies(coco["categories"]))
        files = {row["id"]: row["file_name"] for row in coco["images"]}
        count = Counter((a["image_id"], a["category_id"]) for a in coco["annotations"])
        crowds = {(a["image_id"], a["category_id"]) for a in coco["annotations"] if a.get("iscrowd")}
        self.rows = [
            (a["id"], files[a["image_id"]], names[a["category_id"]], read_bbox(a["bbox"]))
            for a in coco["annotations"]
            if count[key := (a["image_id"], a["category_id"])] == 1
            and not (exclude_crowd and key in crowds)
            and names[a["category_id"]] in asked
        ]
        if not self.rows:
            raise InputError(f"Expected {self.path} to hold a category that occurs once in an image, but none does.")

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read question ``index``; its answer is a `Box`."""
        number, file, category, box = self.rows[index]
        owner = f"{self.path}, annotation {number}"
        if isinstance(box, str):
            raise InputError(f"{owner}: {box}.")
        image = FileImage(below(self.image_root, file, owner), owner)
        return Record(owner, (image,), self.question.format(category=category), Box(box))


class COCODetection(DetectionQuestions):
    """Objects of a COCO ``instances`` file: "Detect all objects belonging to the category 'dog' in the image.".

    Args:
        annotations: The instances JSON. It is read once, and little of it is kept.
        image_root: Folder of the images.
        categories: Names of the categories to ask for, or the name of a set of them: ``coco_base``, ``coco_novel``,
            ``coco_fewshot8``, ``lvis_fewshot6``, ``lvis_novel13``, or ``lvis_rare``, ``lvis_common`` and
            ``lvis_frequent`` where the categories of the file have a ``frequency``. Defaults to all.
        **kwargs: Those of `DetectionQuestions`.

    Attributes:
        category_ids: Ids of the categories in the file by their names.

    Raises:
        InputError: If the file is no COCO instances file, lacks a category asked for, or yields no question.
        ValueError: If an argument is out of its range.
    """

    image_keys: tuple[str, ...] = ("id", "file_name")
    """What each entry of ``images`` needs."""

    def __init__(
        self,
        annotations: str,
        image_root: str,
        categories: list[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(Path(image_root), **kwargs)
        self.path = Path(annotations)
        coco = read_coco(self.path, self.image_keys)
        self.frequency = self.frequencies(coco["categories"])
        known = {row["id"]: row["name"] for row in coco["categories"]}
        self.category_ids = {name: key for key, name in known.items()}
        asked = resolve_categories(categories, list(known.values()), str(self.path), self.frequency)
        positions = {key: asked.index(name) for key, name in known.items() if name in asked}
        self.ask_about(AnnotatedImages(str(self.path), asked, self.annotated(coco, positions)))

    def annotated(
        self, coco: dict[str, list[dict[str, Any]]], positions: Mapping[int | str, int]
    ) -> Iterator[AnnotatedImage]:
        """Read the images of the file.

        Args:
            coco: What `read_coco` read.
            positions: Position among the categories asked for by the id of a category.
        """
        by_image: dict[int | str, list[dict[str, Any]]] = {row["id"]: [] for row in coco["images"]}
        for row in coco["annotations"]:
            if row["category_id"] in positions:
                by_image[row["image_id"]].append(row)
        for row in coco["images"]:
            objects = [coco_object(found, positions, self.path) for found in by_image[row["id"]]]
            yield self.image(row, objects, positions)

    def image(
        self, row: Mapping[str, Any], objects: Sequence[AnnotatedObject], positions: Mapping[int | str, int]
    ) -> AnnotatedImage:
        """Read an entry of ``images``, whose objects are read already."""
        size = declared_size(row.get("width"), row.get("height"), f"{self.path}, image {row['id']}")
        return AnnotatedImage(row["file_name"], size, objects, id=row["id"])

    def frequencies(self, categories: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Letter of frequency by the name of a category, where the file has it."""
        return frequencies(categories)


def check_question(template: str) -> None:
    """Raise `ValueError` for a template of a question that can't be filled in."""
    fields = set(fields_of("question", template))
    if not fields <= {("category", "", None)}:
        raise ValueError(f"Expected `question` to have no field but {{category}}, but got {template!r}.")


def frequencies(categories: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Letter of frequency by the name of a category, where the file has it."""
    return {row["name"]: str(row["frequency"]) for row in categories if "frequency" in row}


def coco_object(row: Mapping[str, Any], positions: Mapping[int | str, int], path: Path) -> AnnotatedObject:
    """Read an annotation. Its box is checked when it is asked for.

    Raises:
        InputError: If its ``area`` or ``iscrowd`` is of a wrong type.
    """
    area, crowd = row.get("area"), row.get("iscrowd", 0)
    if not (area is None or (is_number(area) and area >= 0)):
        raise InputError(f"{path}, annotation {row['id']}: expected `area` in square pixels, but got {area!r}.")
    if crowd not in (0, 1):
        raise InputError(f"{path}, annotation {row['id']}: expected `iscrowd` to be 0 or 1, but got {crowd!r}.")
    return AnnotatedObject(row["id"], positions[row["category_id"]], read_bbox(row["bbox"]), area, bool(crowd))


def read_bbox(bbox: Any) -> XYXY | str:
    """Turn COCO's box into xyxy pixels, or say why it is none."""
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(is_number, bbox))):
        return f"expected `bbox` to be [x, y, width, height], but got {str(bbox)[:200]}"
    x, y, width, height = map(float, bbox)
    return x, y, x + width, y + height


def read_coco(path: Path, image_keys: Sequence[str] = ("id", "file_name")) -> dict[str, list[dict[str, Any]]]:
    """Read a COCO ``instances`` file and check the keys that every reader needs. Segmentations are left out.

    Args:
        path: The file.
        image_keys: What each entry of ``images`` needs.

    Raises:
        InputError: If the file is missing, not JSON, or lacks images, annotations or categories or one of their keys.
    """
    try:
        coco = json.loads(regular(path).read_text(encoding="utf-8"), object_hook=_without_segmentation)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Expected a COCO instances file at {path}, but it can't be read: {error}.") from error
    needed = {"images": image_keys, "annotations": ("id", "image_id", "category_id", "bbox")}
    for part, keys in (needed | {"categories": ("id", "name")}).items():
        rows = coco.get(part) if isinstance(coco, dict) else None
        if not isinstance(rows, list):
            raise InputError(f"Expected {path} to be a COCO instances file, but it has no list `{part}`.")
        for i, row in enumerate(rows):
            _check_entry(row, keys, f"`{part}[{i}]`", path)
    known_images = {image["id"] for image in coco["images"]}
    known_categories = {category["id"] for category in coco["categories"]}
    if len(known_images) < len(coco["images"]) or len(known_categories) < len(coco["categories"]):
        raise InputError(f"{path}: expected every image and category to have an `id` of its own.")
    for annotation in coco["annotations"]:
        if annotation["image_id"] not in known_images or annotation["category_id"] not in known_categories:
            raise InputError(
                f"{path}: annotation {annotation['id']} names an image or category that is not in the file."
            )
    return coco


_TYPES = {"id": int | str, "image_id": int | str, "category_id": int | str, "file_name": str, "name": str}
"""Types of the keys that are checked when a file is read."""


def _check_entry(row: Any, keys: Sequence[str], owner: str, path: Path) -> None:
    for key in keys:
        if not isinstance(row, dict) or key not in row:
            raise InputError(f"{path}: expected `{key}` in {owner}, but it is missing.")
        if key in _TYPES and (not isinstance(row[key], _TYPES[key]) or not str(row[key]).strip()):
            kind = "text" if _TYPES[key] is str else "a number or text"
            raise InputError(f"{path}: expected `{key}` in {owner} to be {kind}, but got {str(row[key])[:60]!r}.")


def _without_segmentation(row: dict[str, Any]) -> dict[str, Any]:
    """Drop polygons as soon as they are read: they are nine tenths of a file of a gigabyte."""
    row.pop("segmentation", None)
    return row

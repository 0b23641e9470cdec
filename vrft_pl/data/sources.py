"""Where rows come from: sources of records, before a task family has checked their answers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, Self

from vrft_pl.data.images import FileImage
from vrft_pl.types import ImageSource, InputError


@dataclass(frozen=True)
class Record:
    """One row as its source holds it."""

    id: str
    """Unique within the source; for files it starts with the file's name and the row."""
    images: tuple[ImageSource, ...]
    """Pictures in the order of the question."""
    problem: str
    """The question."""
    answer: Any
    """Ground truth as written in the source; the task family turns it into a typed solution."""
    cot: str | None = None
    """Chain of thought, if the source has one."""


class Source(ABC):
    """A sequence of records with random access."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def __getitem__(self, index: int) -> Record:
        """Read row ``index``."""

    def __iter__(self) -> Iterator[Record]:
        """Read every row."""
        return (self[i] for i in range(len(self)))

    @property
    def procedural(self) -> bool:
        """Whether rows are made on the spot, and so need neither checking nor a second pass."""
        return False

    def with_seed(self, seed: int) -> Self:
        """Return the source for a seed. Files do not depend on one."""
        return self


class ReasonJSON(Source):
    """Reason-RFT style rows: ``id``, ``image`` (path, list of paths or ``{"path": ...}``), ``problem``, ``answer``.

    The answer may be called ``solution`` and may carry ``<answer>`` tags; ``cot`` is optional.

    Args:
        path: A ``.json`` file that holds a list of objects, or a ``.jsonl`` file with one object a line.
        image_root: Folder that image paths are relative to. Defaults to the folder of ``path``.
        limit: Number of rows to use, from the start.

    Raises:
        InputError: If the file is missing, empty, not JSON, or not a list of objects.
        ValueError: If ``limit`` is below 1.
    """

    def __init__(self, path: str, image_root: str | None = None, limit: int | None = None) -> None:
        check_limit(limit)
        self.path = Path(path)
        self.image_root = Path(image_root) if image_root is not None else self.path.parent
        self.rows = read_rows(self.path)[:limit]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read row ``index``; a missing key raises `InputError` with file and row."""
        row = self.rows[index]
        owner = f"{self.path}, row {index}" + (f" (id {row['id']})" if "id" in row else "")
        answer_key = "answer" if "answer" in row else "solution"
        for key in ("problem", answer_key):
            if row.get(key) in (None, ""):
                raise InputError(f"{owner}: expected a value for `{key}`, but got {row.get(key)!r}.")
        if not isinstance(row["problem"], str):
            raise InputError(f"{owner}: expected `problem` to be a string, but got {row['problem']!r}.")
        if not isinstance(row.get("cot"), str | None):
            raise InputError(f"{owner}: expected `cot` to be a string, but got {row['cot']!r}.")
        images = tuple(FileImage(self.image_root / path, owner) for path in image_paths(row, owner))
        problem = row["problem"].replace("<image>", "").strip()
        return Record(owner, images, problem, row[answer_key], row.get("cot"))


def check_limit(limit: int | None) -> None:
    """Raise `ValueError` when a limit leaves no row."""
    if limit is not None and limit < 1:
        raise ValueError(f"Expected `limit` to be at least 1 row, but got {limit}.")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a JSON list or JSONL file of objects.

    Raises:
        InputError: If the file is missing, empty, not JSON, or not a list of objects.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a JSON file of rows at {path}, but it can't be read: {error}.") from error
    try:
        if path.suffix == ".jsonl":
            # not `splitlines`: a string of JSON may hold line separators of Unicode
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            rows = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in {path}, but it can't be parsed: {error}.") from error
    if not isinstance(rows, list):
        raise InputError(f"Expected {path} to hold a list of rows, but got a JSON {type(rows).__name__}.")
    if not rows:
        raise InputError(f"Expected at least one row in {path}, but it is empty.")
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"Expected row {i} of {path} to be a JSON object, but got {str(row)[:60]!r}.")
    return rows


def image_paths(row: dict[str, Any], owner: str) -> list[str]:
    """Read the ``image`` (or ``images``) of a row: absent, a path, ``{"path": ...}`` or a list of either."""
    value = row.get("image", row.get("images"))
    values = [] if value is None else value if isinstance(value, list) else [value]
    paths: list[Any] = [item.get("path") if isinstance(item, dict) else item for item in values]
    for path in paths:
        if not isinstance(path, str) or not path:
            raise InputError(f"{owner}: expected `image` to be a path or a list of paths, but got {value!r}.")
    return paths


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

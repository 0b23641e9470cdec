"""Detection: the answer is every object of the categories asked for (COCO, LVIS, VOC, Visual-RFT's sets, or scenes)."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrft_pl.answers import NO_OBJECTS, Instance, Instances, Solution
from vrft_pl.data.base import VisionTask
from vrft_pl.data.boxes import AnnotationSpace, check_box, image_size, is_number
from vrft_pl.data.images import FileImage
from vrft_pl.data.misplaced import refuse_other
from vrft_pl.data.sources import Record
from vrft_pl.data.sources.annotated import MeasuredImage
from vrft_pl.names import normalize_name
from vrft_pl.types import ImageSource, InputError
from vrft_pl.unanswered import Unanswered

MAX_SOLUTION = 100_000
"""Characters of a written solution: some 1500 boxes."""


class Detection(VisionTask):
    """Questions whose answer is a list of boxes.

    Args:
        annotation_space: What coordinates of written solutions mean; Visual-RFT's data sets store ``permille``. Typed
            solutions (`Instances`, of the sources of COCO, LVIS and VOC) are in pixels always.
        category_pattern: Regular expression that finds the category in the question of a written solution, in its one
            group.
        **kwargs: Those of `VisionTask`.

    Raises:
        ValueError: If ``category_pattern`` is no regular expression with one group.
    """

    def __init__(
        self,
        annotation_space: AnnotationSpace = "pixels",
        category_pattern: str = r"category '([^']+)'",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.annotation_space = annotation_space
        try:
            self.category_pattern = re.compile(category_pattern)
        except re.error as error:
            raise ValueError(
                f"Expected `category_pattern` to be a regular expression, but {category_pattern!r} is none: {error}."
            ) from error
        if self.category_pattern.groups != 1:
            raise ValueError(f"Expected `category_pattern` to have one group, but got {category_pattern!r}.")

    def solution(self, record: Record) -> Solution:
        """Read the answer: `Instances`, or a solution as Visual-RFT writes it.

        That is ``[{'Position': [x1, y1, x2, y2], 'Confidence': 1}]`` or ``No Objects``, as JSON, Python or a list, with
        or without ``<answer>`` tags; what it says of the confidence is not ground truth.

        Raises:
            InputError: If it is none of these, a box is wrong, or the question names no category.
        """
        refuse_other(record.answer, record.id, "Detection")
        if len(record.images) != 1:
            raise InputError(f"{record.id}: expected one picture for boxes, but got {len(record.images)}.")
        if isinstance(record.answer, Instances):
            return checked(record.answer, record)
        category = self.category(record)
        positions = read_positions(record.answer, record.id)
        items: list[Instance] = []
        if positions:
            image = measured(record.images[0], record.id)
            boxes = (check_box(position, record.id, image, self.annotation_space) for position in positions)
            items = [Instance(box, category) for box in boxes]
        return Instances(tuple(items), (category,), picture_name(record))

    def unanswered(self, record: Record) -> Solution:
        """Objects of the categories that the source names, or the question."""
        known = record.answer.kind if isinstance(record.answer, Unanswered) else None
        if isinstance(known, Instances):
            return known
        try:
            return Instances((), (self.category(record),), picture_name(record))
        except InputError as error:
            raise InputError(f"{error} Or name it in `categories`.") from error

    def category(self, record: Record) -> str:
        """Find the category in the question."""
        names = {match[1] for match in self.category_pattern.finditer(record.problem)}
        if len(names) != 1 or not normalize_name(name := names.pop() or ""):
            raise InputError(
                f"{record.id}: expected the question to name one category, as {self.category_pattern.pattern!r} "
                f"finds it, but got {record.problem[:200]!r}."
            )
        return name


def checked(truth: Instances, record: Record) -> Instances:
    """Check a typed solution, and cut its boxes at the edges of the picture.

    Raises:
        InputError: If it asks for no category or for one twice, holds another one, or has a wrong box.
    """
    names = [normalize_name(name) for name in truth.categories]
    if not names or not all(names) or len(set(names)) < len(names):
        raise InputError(
            f"{record.id}: expected different names as the categories asked for, but got {list(truth.categories)}."
        )
    if not truth.image:
        raise InputError(f"{record.id}: expected the name of the picture in the answer, but it is empty.")
    found = {item.category for item in truth.items}
    if others := sorted(name for name in found if normalize_name(name) not in names):
        raise InputError(f"{record.id}: expected objects of {list(truth.categories)}, but got {others}.")
    if not truth.items:
        return truth
    image = measured(record.images[0], record.id)
    boxes = [check_box(item.xyxy, record.id, image) for item in truth.items]
    pairs = zip(truth.items, boxes, strict=True)
    cut = [item if item.xyxy == box else replace(item, xyxy=box, uncut=item.xyxy) for item, box in pairs]
    return replace(truth, items=tuple(cut))


def read_positions(answer: Any, owner: str) -> list[Any]:
    """Read what a written solution holds for boxes; nothing for ``No Objects``, and one for four numbers alone.

    Raises:
        InputError: If it is no such solution.
    """
    entries = read_literal(answer) if isinstance(answer, str) else answer
    if not isinstance(entries, list):
        raise InputError(
            f"{owner}: expected the answer to be a list of {{'Position': [x1, y1, x2, y2], 'Confidence': c}} or "
            f"{NO_OBJECTS}, but got {str(answer)[:200]!r}."
        )
    if len(entries) == 4 and all(map(is_number, entries)):
        return [entries]
    for entry in entries:
        if not isinstance(entry, dict) or "Position" not in entry:
            raise InputError(f"{owner}: expected `Position` in every entry of the answer, but got {str(entry)[:200]}.")
    return [entry["Position"] for entry in entries]


def read_literal(text: str) -> Any:
    """Read JSON or a Python literal, with or without ``<answer>`` tags; ``None`` where it is neither."""
    if len(text) > MAX_SOLUTION:
        return None
    start, end = text.find("<answer>"), text.rfind("</answer>")
    text = text[start + len("<answer>") : end].strip() if 0 <= start < end else text.strip()
    if len(text) < 2 * len(NO_OBJECTS) and normalize_name(text) == normalize_name(NO_OBJECTS):
        return []
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def measured(image: ImageSource, owner: str) -> MeasuredImage:
    """Measure a picture once, and not again for each of its boxes."""
    return MeasuredImage(Path(), owner, image_size(image))


def picture_name(record: Record) -> str:
    """Return what tells the picture of a row from others: its file, or the row."""
    image = record.images[0]
    return image.path.as_posix() if isinstance(image, FileImage) else record.id

"""Annotated boxes as the sources hold them, before a task checks them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vrft_pl.answers import Solution
from vrft_pl.check.rows import Row, Size
from vrft_pl.data.boxes import is_number
from vrft_pl.data.images import FileImage, below
from vrft_pl.data.samples import Part
from vrft_pl.data.sources import Source
from vrft_pl.data.sources.annotated import measure
from vrft_pl.data.sources.detection import DetectionQuestions
from vrft_pl.rewards.parsing import Unread, read_values
from vrft_pl.types import InputError

Floats = NDArray[np.float64]

_LARGEST_TEXT = 100_000
_MOST = 20_000
"""About how many boxes are looked at, spread over a file of more."""


class Boxes(NamedTuple):
    """Boxes of one part."""

    numbers: Floats
    """Shape ``(n, 4)``."""
    sizes: Floats
    """Width and height of the picture of each. Shape ``(n, 2)``."""
    rows: Sequence[str]
    """The row of each."""
    space: str
    """What the task takes their coordinates for."""


def part_boxes(part: Part, rows: Sequence[Row]) -> Boxes | None:
    """Boxes of a part; ``None`` where it has none.

    Files of COCO, LVIS and VOC are looked at whole, for their sources refuse a question as soon as one box is wrong.
    """
    source: Source = part.source
    while isinstance(inner := getattr(source, "source", None), Source):  # a subset
        source = inner
    if isinstance(source, DetectionQuestions):
        return together(_stored(source), "pixels")
    typed = any(row.record is not None and isinstance(row.record.answer, Solution) for row in rows)
    space: str | None = "pixels" if typed else getattr(part.task, "annotation_space", None)
    return None if space is None else together(_written(rows), space)


def together(found: Iterator[tuple[Sequence[float], Size, str]], space: str) -> Boxes | None:
    """Put boxes, the sizes of their pictures and their rows into arrays."""
    boxes = list(found)
    if not boxes:
        return None
    numbers, sizes, rows = zip(*boxes, strict=True)
    return Boxes(np.array(numbers, dtype=np.float64), np.array(sizes, dtype=np.float64), rows, space)


def _written(rows: Sequence[Row]) -> Iterator[tuple[Sequence[float], Size, str]]:
    for row in rows:
        if row.record is not None and len(row.sizes) == 1:
            yield from ((box, row.sizes[0], row.record.id) for box in raw_boxes(row.record.answer))


def _stored(source: DetectionQuestions) -> Iterator[tuple[Sequence[float], Size, str]]:
    images = source.images
    for i in range(0, len(images.files), max(1, len(images) // _MOST)):
        owner = f"{images.origin}, image {images.files[i]}"
        try:
            size = measure(
                FileImage(below(source.image_root, images.files[i], owner), owner), images.sizes[i], trust=True
            ).size()
        except InputError:
            continue  # reported with the rows
        for k in images.objects(i):
            if k not in images.malformed:
                number = images.ids[k]
                yield images.boxes[4 * k : 4 * k + 4].tolist(), size, f"{owner}, annotation {number}"


def raw_boxes(answer: Any) -> Iterator[list[float]]:
    """Every list of four numbers in an answer, also one written as text.

    Example:
        >>> list(raw_boxes("<answer>[{'Position': [1, 2, 3, 4], 'Confidence': 1}]</answer>"))
        [[1.0, 2.0, 3.0, 4.0]]
        >>> list(raw_boxes("(1,2),(3,4)"))
        [[1.0, 2.0, 3.0, 4.0]]
    """
    match answer:
        case Solution():
            yield from (list(mark.shape) for mark in answer.marks() if len(mark.shape) == 4)
        case str():
            values = read_values(answer[:_LARGEST_TEXT].replace("<answer>", "").replace("</answer>", ""))
            yield from raw_boxes([] if isinstance(values, Unread) else values.items)
        case dict():
            yield from (box for value in answer.values() for box in raw_boxes(value))
        case list() | tuple() if len(answer) == 4 and all(is_number(v) for v in answer):
            yield [float(v) for v in answer]
        case [[_, _] as low, [_, _] as high] if all(is_number(v) for v in (*low, *high)):
            yield [float(v) for v in (*low, *high)]
        case list() | tuple():
            yield from (box for value in answer if not isinstance(value, str) for box in raw_boxes(value))

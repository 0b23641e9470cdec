"""Pictures whose objects have boxes, in a form small enough to keep: what COCO, LVIS and VOC share."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vrft_pl.answers import XYXY, Instance
from vrft_pl.data.boxes import check_box, is_number
from vrft_pl.data.images import FileImage
from vrft_pl.types import InputError


class AnnotatedObject(NamedTuple):
    """One object, as its file holds it."""

    id: int | str
    category: int
    """Position among the categories asked for."""
    box: XYXY | str
    """Unchecked xyxy pixels, or a sentence on why they are none."""
    area: float | None = None
    """Square pixels of its segmentation."""
    crowd: bool = False
    """Stands for many objects, or is not to be judged."""


class AnnotatedImage(NamedTuple):
    """One picture and its objects of the categories asked for."""

    file: str
    """Path relative to the folder of the pictures."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, where the file of annotations holds them."""
    objects: Sequence[AnnotatedObject] = ()
    absent: Sequence[int] | None = None
    """Categories that are known to be absent; ``None`` for all that no object has."""
    partial: Sequence[int] = ()
    """Categories of which only some objects are annotated."""
    fault: str | None = None
    """Why its annotations can't be read; its question then raises."""
    id: int | str | None = None
    """Id in the file of annotations, where that has ids."""


@dataclass(frozen=True)
class MeasuredImage(FileImage):
    """A picture file of known size, so that each of its boxes is checked without opening it again."""

    measured: tuple[int, int]
    """Width and height in pixels."""

    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.measured


class Ids:
    """A column of ids, which are whole numbers but for a few."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._others: dict[int, int | str | None] = {}

    def __len__(self) -> int:
        """Number of ids."""
        return len(self._numbers)

    def __getitem__(self, position: int) -> int | str | None:
        """An id as its file has it."""
        return self._others.get(position, self._numbers[position])

    def append(self, value: int | str | None) -> None:
        """Add an id at the end."""
        number = isinstance(value, int) and abs(value) < 2**63
        if not number:
            self._others[len(self)] = value
        self._numbers.append(int(value) if number and value is not None else 0)


class AnnotatedImages:
    """The pictures of a file and their objects, in columns: a million objects take some 80 MB.

    Args:
        origin: File of the annotations, named in errors.
        names: The categories asked for.
        images: The pictures.

    Raises:
        InputError: If a picture is there twice.
    """

    def __init__(self, origin: str, names: Sequence[str], images: Iterable[AnnotatedImage]) -> None:
        self.origin, self.names = origin, tuple(names)
        self.files: list[str] = []
        self.image_ids = Ids()
        self.sizes: list[tuple[int, int] | None] = []
        self.absent: dict[int, tuple[int, ...]] = {}
        self.partial: dict[int, tuple[int, ...]] = {}
        self.faults: dict[int, str] = {}
        # columns of numbers, not lists: what is kept must not pin the memory in which a file of a gigabyte was read
        self.ids = Ids()
        self.categories, self.crowds = array("i"), array("b")
        self.boxes, self.areas = array("d"), array("d")
        self.malformed: dict[int, str] = {}
        self.ends = array("q", [0])
        for image in images:
            self._add(image)
        if twice := len(self.files) - len(set(self.files)):
            raise InputError(f"Expected every picture of {origin} to be there once, but {twice} are there again.")

    def _add(self, image: AnnotatedImage) -> None:
        position = len(self.files)
        self.files.append(image.file)
        self.image_ids.append(image.id)
        self.sizes.append(image.size)
        if image.absent is not None:
            self.absent[position] = tuple(image.absent)
        if image.partial:
            self.partial[position] = tuple(image.partial)
        if image.fault is not None:
            self.faults[position] = image.fault
        for found in image.objects:
            if isinstance(found.box, str):
                self.malformed[len(self)] = found.box
            self.boxes.extend((math.nan,) * 4 if isinstance(found.box, str) else found.box)
            self.ids.append(found.id)
            self.categories.append(found.category)
            self.crowds.append(found.crowd)
            self.areas.append(math.nan if found.area is None else found.area)
        self.ends.append(len(self))

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.ids)

    def objects(self, image: int) -> range:
        """Positions of the objects of a picture."""
        return range(self.ends[image], self.ends[image + 1])

    def known(self, image: int) -> list[int]:
        """Categories whose presence or absence in a picture is known."""
        if image not in self.absent:
            return list(range(len(self.names)))
        return sorted({*self.absent[image], *(self.categories[i] for i in self.objects(image))})

    def box(self, position: int, image: FileImage) -> XYXY:
        """Check the box of an object, and cut it at the edges of its picture.

        Raises:
            InputError: If it is no box, has no area, or lies outside the picture.
        """
        owner = f"{image.owner}, annotation {self.ids[position]}"
        if position in self.malformed:
            raise InputError(f"{owner}: {self.malformed[position]}.")
        return check_box(self.annotated(position), owner, image)

    def annotated(self, position: int) -> list[float]:
        """The box of an object as its file has it."""
        return self.boxes[4 * position : 4 * position + 4].tolist()

    def covered(self, position: int) -> float:
        """Square pixels of the box of an object; 0 for one of no area, or that is none."""
        x1, y1, x2, y2 = self.annotated(position)
        return (x2 - x1) * (y2 - y1) if x2 > x1 and y2 > y1 else 0.0

    def instance(self, position: int, image: FileImage) -> Instance:
        """Return an object with its checked box."""
        area, box = self.areas[position], self.box(position, image)
        x1, y1, x2, y2 = annotated = self.annotated(position)
        return Instance(
            box,
            self.names[self.categories[position]],
            None if math.isnan(area) else area,
            bool(self.crowds[position]),
            uncut=None if annotated == [*box] else (x1, y1, x2, y2),
        )


def measure(file: FileImage, declared: tuple[int, int] | None, trust: bool = False) -> MeasuredImage:
    """Measure a picture by its header.

    Args:
        file: The picture.
        declared: Its width and height in the file of annotations, if that holds them.
        trust: Take what is declared for the size where there is something, without opening the picture.

    Raises:
        InputError: If the picture can't be opened, or has another size than its annotations say.
    """
    size = declared if trust and declared is not None else file.size()
    if declared is not None and size != declared:
        raise InputError(
            f"{file.owner}: expected a picture of {declared[0]} x {declared[1]} pixels, as its annotations say, but "
            f"{file.path} has {size[0]} x {size[1]}."
        )
    return MeasuredImage(file.path, file.owner, size)


def declared_size(width: Any, height: Any, owner: str) -> tuple[int, int] | None:
    """Check the size that a file of annotations holds; ``None`` where it holds none, or 0 as some tools write.

    Raises:
        InputError: If it is no size.
    """
    if (width or 0) == 0 and (height or 0) == 0:
        return None
    for value in (width, height):
        if not is_number(value) or value <= 0 or value != int(value):
            raise InputError(f"{owner}: expected `width` and `height` in whole pixels, but got {width!r}, {height!r}.")
    return int(width), int(height)

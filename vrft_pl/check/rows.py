"""Reading the rows of a task one by one, the bad ones too."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from PIL import Image

from vrft_pl.data.boxes import image_size
from vrft_pl.data.images import FileImage, StoredImage
from vrft_pl.data.samples import Part
from vrft_pl.data.smaller import SmallerImage
from vrft_pl.data.sources import Record, Source
from vrft_pl.types import ImageSource, InputError, Sample

PROCEDURAL_ROWS = 64
"""Rows read of a source that makes its rows: they are right by construction."""
_CHUNK = 64
"""Rows whose pictures are in memory at once."""

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class RowImage:
    """A picture that is read again with its row, so that no row's pictures stay in memory."""

    source: Source
    index: int
    position: int

    def open(self) -> Image.Image:
        """Read the row again and open its picture."""
        return self.source[self.index].images[self.position].open()


@dataclass(frozen=True)
class Row:
    """One row as far as it can be read."""

    part: Part
    index: int
    record: Record | None = None
    """As the source gives it; ``None`` where even that fails."""
    sample: Sample | None = None
    """``None`` for a bad row."""
    sizes: tuple[Size, ...] = ()
    """Of its pictures."""
    error: str | None = None
    """What is wrong with it."""


def read_rows(part: Part, most: int, seed: int) -> Iterator[Row]:
    """Read up to ``most`` rows of a part, drawn with the seed, in their order."""
    most = min(most, PROCEDURAL_ROWS) if part.source.procedural else most
    count = len(part.source)
    chosen = range(count) if count <= most else sorted(random.Random(seed).sample(range(count), most))
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(chosen), _CHUNK):
            # sources are read by one thread; the pictures, whose decoding leaves the interpreter free, by several
            rows = [_read(part, index) for index in chosen[first : first + _CHUNK]]
            yield from pool.map(_measured, rows)


def _read(part: Part, index: int) -> Row:
    try:
        record = part.source[index]
    except InputError as error:
        return Row(part, index, error=str(error))
    try:
        return Row(part, index, record, part.read(record))
    except InputError as error:
        return Row(part, index, record, error=str(error))


def _measured(row: Row) -> Row:
    """Open the pictures of a row, or read their headers where the task does no more, and let go of them."""
    if row.record is None:
        return row
    record, images = row.record, row.record.images
    try:
        sizes = tuple(_size(image, row.part.task.verify_images) for image in images)
    except InputError as error:
        row, sizes = replace(row, sample=None, error=row.error or str(error)), ()
    if not row.part.source.procedural:
        images = tuple(
            image if isinstance(image, FileImage) else RowImage(row.part.source, row.index, i)
            for i, image in enumerate(images)
        )
    sample = None if row.sample is None else replace(row.sample, images=as_shown(row.sample.images, images))
    return replace(row, record=replace(record, images=images), sample=sample, sizes=sizes)


def as_shown(shown: Sequence[ImageSource], kept: Sequence[ImageSource]) -> tuple[ImageSource, ...]:
    """Pictures of a record, made smaller where those of its sample are."""
    pairs = zip(shown, kept, strict=True)
    return tuple(replace(own, image=image) if isinstance(own, SmallerImage) else image for own, image in pairs)


def _size(image: ImageSource, verify: bool) -> Size:
    return image.open().size if verify and isinstance(image, StoredImage) else image_size(image)

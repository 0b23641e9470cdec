"""Pictures of the samples that records are of, small, and each once."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from vrft_pl.types import ImageSource

MOST_SIDE = 16_383
"""Pixels of a side that WebP can hold."""


class KeptPicture(NamedTuple):
    """A picture of a sample, as the folder of a run keeps it."""

    name: str
    """Of its file: a hash of the pixels, so that equal pictures share one."""
    content: bytes | None
    """Of the file; ``None`` where it is there already."""


def check_pictures(pictures: int, max_side: int) -> None:
    """Raise `ValueError` for bounds that no pictures can keep."""
    if pictures < 0:
        raise ValueError(f"Expected `pictures` to be 0 or more, but got {pictures}.")
    if not 1 <= max_side <= MOST_SIDE:
        raise ValueError(f"Expected `max_side` to be 1 to {MOST_SIDE} pixels, but got {max_side}.")


def encoded(images: Sequence[ImageSource], max_side: int, there: Container[str] = ()) -> list[KeptPicture]:
    """Encode pictures as WebP.

    Args:
        images: Pictures of a sample.
        max_side: Most pixels of the longer side; a larger picture is made smaller.
        there: Names of files that need not be made again.

    Returns:
        One for each picture in their order, also of equal ones, such as frames in which nothing moves.
    """
    found: dict[str, bytes | None] = {}
    names = []
    for source in images:
        image = source.open()
        if max(image.size) > max_side:
            image = image.copy()  # not in place: a source may hand out the same picture again
            image.thumbnail((max_side, max_side))
        content = f"{image.width}x{image.height} ".encode() + image.tobytes()
        names.append(f"{hashlib.sha256(content).hexdigest()[:32]}.webp")
        if names[-1] not in found:
            found[names[-1]] = None if names[-1] in there else webp(image)
    return [KeptPicture(name, found[name]) for name in names]


def webp(image: Image.Image) -> bytes:
    """Encode a picture."""
    content = BytesIO()
    image.save(content, "WEBP", quality=80)
    return content.getvalue()

"""Pictures of one question that have too many pixels together, made smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vrft_pl.data.boxes import image_size
from vrft_pl.data.images import StoredImage
from vrft_pl.types import ImageSource


@dataclass(frozen=True)
class SmallerImage(StoredImage):
    """A picture that is made smaller when it is opened."""

    image: ImageSource
    scale: float
    """Of a side, below 1."""

    @property
    def path(self) -> Path | None:
        """Where it lies, if it is a file."""
        return getattr(self.image, "path", None)

    def size(self) -> tuple[int, int]:
        """Width and height in pixels after that; at least 1."""
        width, height = image_size(self.image)
        return max(1, int(width * self.scale)), max(1, int(height * self.scale))

    def open(self) -> Image.Image:
        """Open and resize it."""
        return self.image.open().resize(self.size(), Image.Resampling.BICUBIC)


def within(images: Sequence[ImageSource], total_pixels: int) -> tuple[ImageSource, ...]:
    """Make pictures smaller by one factor where they have more pixels together.

    Raises:
        InputError: If the size of a picture can't be read.
    """
    pixels = sum(width * height for width, height in map(image_size, images))
    scale = (total_pixels / max(pixels, 1)) ** 0.5
    return tuple(images) if scale >= 1 else tuple(SmallerImage(image, scale) for image in images)

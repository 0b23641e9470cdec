"""Pictures on disk, opened when they are needed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vrft_pl.types import ImageSource, InputError

DAMAGE = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error)
"""What Pillow raises while it decodes a damaged picture."""


@dataclass(frozen=True)
class FileImage:
    """A picture file.

    Args:
        path: The file.
        owner: The sample it belongs to, named in errors.
    """

    path: Path
    owner: str

    def size(self) -> tuple[int, int]:
        """Width and height in pixels after EXIF rotation, read from the header alone.

        Raises:
            InputError: If the file is missing or is not a picture, or its header is damaged.
        """
        with self._header() as image:
            width, height = image.size
            try:
                turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
            except DAMAGE as error:
                raise self._damaged(error) from error
            return (height, width) if turned else (width, height)

    def open(self) -> Image.Image:
        """Decode the whole picture: EXIF rotation applied, transparency on white, 16 bits scaled to 8, RGB.

        Raises:
            InputError: If the file is missing, is not a picture, or ends too early.
        """
        with self._header() as image:
            try:
                image.load()
                return to_rgb(ImageOps.exif_transpose(image))
            except DAMAGE as error:
                raise self._damaged(error) from error

    def _header(self) -> Image.Image:
        try:
            return Image.open(self.path)
        except FileNotFoundError as error:
            raise InputError(f"{self.owner}: expected a picture at {self.path}, but there is no such file.") from error
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
            raise InputError(f"{self.owner}: expected a picture, but {self.path} can't be read as one.") from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self.owner}: expected a whole picture, but {self.path} is damaged ({error}).")


@dataclass(frozen=True)
class DecodedImage:
    """A picture that is decoded already."""

    image: Image.Image

    def open(self) -> Image.Image:
        """Return the picture."""
        return self.image


def decoded(image: ImageSource) -> ImageSource:
    """Decode a picture now; one that can't be decoded is left to fail where it is needed, with its own message."""
    try:
        return DecodedImage(image.open())
    except InputError:
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB.

    Pillow's own conversion clips 16-bit values at 255 and ignores transparency, so both are handled first.
    """
    if image.mode.startswith("I;16") or image.mode == "I":
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")

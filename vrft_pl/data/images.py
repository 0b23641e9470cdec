"""Stored pictures, in files and in memory, opened when they are needed."""

from __future__ import annotations

import os
import struct
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from vrft_pl.types import ImageSource, InputError

DAMAGE = (
    *(OSError, ValueError, TypeError, SyntaxError, LookupError, AttributeError, EOFError, ArithmeticError),
    *(RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow raises while it reads the header of a damaged picture, or decodes it."""
PROGRAMS = ("EPS",)
"""Formats that Pillow hands to another program to be run."""
MOST_PIXELS = 50_000_000
"""Of a picture, unless a task says otherwise; decoding takes up to 17 bytes a pixel."""
ORIENTATION = 0x0112
"""EXIF tag of how a picture is turned."""


class StoredImage(ABC):
    """A picture that comes from outside, and may be missing or damaged."""

    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Width and height in pixels as it is shown, without decoding all of it; raises `InputError` as `open` does."""

    @abstractmethod
    def open(self) -> Image.Image:
        """Decode it to RGB; raises `InputError` where that can't be done."""


class EncodedImage(StoredImage):
    """A picture file as Pillow reads it.

    Attributes:
        owner: The row it belongs to, named in errors.
        most_pixels: Of a picture that is read.
    """

    owner: str
    most_pixels: int

    def size(self) -> tuple[int, int]:
        """Width and height in pixels after EXIF rotation, read from the header alone.

        Raises:
            InputError: If the picture is missing or is none, or its header is damaged.
        """
        with self._header() as image:
            width, height = image.size
            try:
                # Pillow has turned the size of a TIFF already
                turned = image.format != "TIFF" and image.getexif().get(ORIENTATION) in (5, 6, 7, 8)
            except DAMAGE as error:
                raise self._damaged(error) from error
            return (height, width) if turned else (width, height)

    def open(self) -> Image.Image:
        """Decode the first frame: EXIF rotation applied, transparency on white, 8 bits a channel, RGB.

        Raises:
            InputError: If the picture is missing, is none, or is damaged.
        """
        with self._header() as image:
            try:
                ImageOps.exif_transpose(image, in_place=True)  # not a copy: it would take as long as decoding
                return to_rgb(image)
            except DAMAGE as error:
                raise self._damaged(error) from error

    @property
    @abstractmethod
    def _name(self) -> str:
        """What errors call the picture."""

    @abstractmethod
    def _content(self) -> Any:
        """What Pillow opens."""

    def _header(self) -> Image.Image:
        try:
            image = Image.open(self._content())
        except FileNotFoundError as error:
            raise InputError(f"{self.owner}: expected a picture at {self._name}, but there is no such file.") from error
        except DAMAGE as error:
            raise InputError(f"{self.owner}: expected a picture, but {self._name} can't be read as one.") from error
        if image.format in PROGRAMS:
            image.close()
            raise InputError(f"{self.owner}: expected a picture, but {self._name} can't be read as one.")
        if image.width * image.height > self.most_pixels:
            size = f"{image.width:,} x {image.height:,}"
            image.close()
            raise InputError(
                f"{self.owner}: expected a picture of at most {self.most_pixels:,} pixels, but {self._name} has "
                f"{size}. Make it smaller, or raise `most_pixels`."
            )
        return image

    def _damaged(self, error: BaseException) -> InputError:
        return InputError(f"{self.owner}: expected a whole picture, but {self._name} is damaged ({error}).")


@dataclass(frozen=True)
class FileImage(EncodedImage):
    """A picture file.

    Args:
        path: The file.
        owner: The row it belongs to, named in errors.
    """

    path: Path
    owner: str
    most_pixels: int = field(default=MOST_PIXELS, kw_only=True, repr=False)

    @property
    def _name(self) -> str:
        return str(self.path)

    def _content(self) -> Path:
        return regular(self.path)


@dataclass(frozen=True)
class BytesImage(EncodedImage):
    """A picture file that is held in memory, as rows of Parquet and of saved datasets hold it.

    Args:
        data: Content of the file.
        owner: The row it belongs to, named in errors.
    """

    data: bytes | bytearray | memoryview = field(repr=False)
    owner: str
    most_pixels: int = field(default=MOST_PIXELS, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        """Keep what can be sent to another process; bytes are not copied."""
        object.__setattr__(self, "data", bytes(self.data))

    @property
    def _name(self) -> str:
        return "its content"

    def _content(self) -> BytesIO:
        return BytesIO(self.data)


@dataclass(frozen=True)
class DecodedImage:
    """A picture that is decoded already."""

    image: Image.Image
    path: Path | None = None
    """Where it lies, if it is a file."""

    def open(self) -> Image.Image:
        """Return the picture."""
        return self.image


def decoded(image: ImageSource) -> ImageSource:
    """Decode a picture now; one that can't be decoded is left to fail where it is needed, with its own message."""
    try:
        return DecodedImage(image.open(), getattr(image, "path", None))
    except InputError:
        return image


def stored_images(value: Any, root: Path, owner: str, key: str = "image") -> tuple[ImageSource, ...]:
    """Read the pictures of a row: encoded bytes, a path, ``{"bytes": ..., "path": ...}``, or a list of these.

    Args:
        value: What the row holds; of an object, ``path`` counts only where there are no ``bytes``.
        root: Folder that paths are relative to and may not leave.
        owner: The row, named in errors.
        key: Where the row holds them, named in errors.

    Raises:
        InputError: If it is none of these.
    """
    images: list[ImageSource] = []
    for item in value if isinstance(value, list) else [value]:
        content = (item.get("bytes") or item.get("path")) if isinstance(item, dict) else item
        match content:
            case bytes() if content:
                images.append(BytesImage(content, owner))
            case str() if content:
                images.append(FileImage(below(root, content, owner), owner))
            case _:
                got = type(item).__name__ if isinstance(content, bytes) else repr(item)[:60]
                raise InputError(
                    f"{owner}: expected `{key}` to be a picture, a path, or a list of them, but got {got}."
                )
    return tuple(images)


def below(root: Path, path: str, owner: str) -> Path:
    """Where a picture lies that annotations name; links that lie in the folder may lead out of it.

    Args:
        root: Folder that the path is relative to.
        path: As the annotations have it.
        owner: The row, named in errors.

    Raises:
        InputError: If it leads out of the folder.
    """
    whole = os.path.normpath(os.path.abspath(root / path))
    if not Path(whole).is_relative_to(os.path.abspath(root)):
        raise InputError(
            f"{owner}: expected a picture in {root}, but {path[:200]!r} leads out of it. Name a folder above both as "
            "`image_root`."
        )
    return root / path


def regular(path: Path) -> Path:
    """Return the path of a file; raises `OSError` for a pipe or a device, which might never end."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")
    return path


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB, transparent pixels to white.

    Pillow's own conversion clips values beyond 8 bits and ignores transparency, so both are handled first.
    """
    if image.mode.startswith("I") or image.mode == "F":
        image = to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_8_bits(image: Image.Image) -> Image.Image:
    """Convert a picture of one wide channel to grayscale.

    White is 65535 for integers, and for fractions the first of 1, 255 and 65535 that no pixel exceeds; beyond 65535 it
    is the largest pixel. What is below 0, or no number, is black.

    Args:
        image: A picture of mode ``I``, ``F``, or one of those of 16 bits.
    """
    stored = np.asarray(image)
    values = stored.astype(np.float32)  # one copy, changed in place: a picture may have a hundred million pixels
    np.nan_to_num(values, copy=False, nan=0.0, posinf=np.inf, neginf=0.0)
    largest = values.max(initial=0, where=np.isfinite(values))
    whites = [white for white in ((1, 255, 65535) if image.mode == "F" else (65535,)) if white >= largest]
    white = whites[0] if whites else largest
    np.clip(values, 0, white, out=values)
    # whole 16-bit values keep their upper byte, as colour pictures of 16 bits a channel do
    np.multiply(values, 1 / 256 if white == 65535 else 255 / white, out=values)
    grey = Image.fromarray((values if white == 65535 else np.rint(values, out=values)).astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(stored == key, 0, 255).astype(np.uint8)))
    return grey

"""Pictures of a page: each once, small enough, and not more than the page can hold."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from vrft_pl.runs import RunFolder

MOST_PIXELS = 640
"""Longer side of a picture in a page."""
MOST_BYTES = 4_500_000
"""All pictures of a page, as they are written into it."""


@dataclass(frozen=True)
class Picture:
    """A picture as a page holds it."""

    data: str
    """WebP, in base64."""
    width: int
    """Pixels of the file that the run keeps."""
    height: int
    """Likewise."""


@dataclass
class Album:
    """Keeps the pictures that are asked for, as long as there is room.

    Args:
        most_bytes: Room for all of them, in base64.
    """

    most_bytes: int = MOST_BYTES
    pictures: dict[str, Picture] = field(default_factory=dict)
    """By the hash of its file."""
    left_out: int = 0
    """Pictures there was no room for."""
    _names: dict[Path, str | None] = field(default_factory=dict)
    _bytes: int = 0

    def add(self, run: RunFolder, name: str) -> str | None:
        """Keep a picture of a run.

        Returns:
            What it goes by, or ``None`` where there is no room, no file or no picture in it.
        """
        if (path := run.picture(name)) is None:
            return None
        if path not in self._names:
            self._names[path] = self._read(path)
        return self._names[path]

    def _read(self, path: Path) -> str | None:
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest = hashlib.sha256(content).hexdigest()[:16]
        if digest in self.pictures:
            return digest
        if (picture := encoded(content)) is None:
            return None
        if self._bytes + len(picture.data) > self.most_bytes:
            self.left_out += 1
            return None
        self._bytes += len(picture.data)
        self.pictures[digest] = picture
        return digest


def encoded(content: bytes) -> Picture | None:
    """A picture as WebP of limited size; a file that is no picture is none."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if image.format != "WEBP" or max(image.size) > MOST_PIXELS:
                content = as_webp(image)
            else:
                image.verify()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Picture(base64.b64encode(content).decode(), width, height)


def as_webp(image: Image.Image) -> bytes:
    """Write a picture smaller."""
    small = image.convert("RGB")
    small.thumbnail((MOST_PIXELS, MOST_PIXELS))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=80)
    return file.getvalue()

"""Pascal VOC folders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from vrft_pl.answers import XYXY
from vrft_pl.data.sources.annotated import AnnotatedImage, AnnotatedImages, AnnotatedObject, declared_size
from vrft_pl.data.sources.detection import DetectionQuestions
from vrft_pl.data.splits import resolve_categories
from vrft_pl.types import InputError

MAX_BYTES = 10_000_000
"""Of a file of annotations; those of VOC have some hundred bytes an object."""
_EDGES = ("xmin", "ymin", "xmax", "ymax")


class VOCDetection(DetectionQuestions):
    """Objects of a Pascal VOC folder: ``Annotations``, ``ImageSets/Main`` and ``JPEGImages``.

    VOC counts pixels from 1 and a box holds its last ones; both are converted. ``difficult`` objects, which VOC does
    not judge, become crowds. A file of annotations that can't be read is a bad row, not a bad folder.

    Args:
        folder: Such as ``VOCdevkit/VOC2012``.
        image_set: Name of a list of images in ``ImageSets/Main``.
        categories: Names of the categories to ask for. Defaults to all that occur in the set, by alphabet.
        **kwargs: Those of `DetectionQuestions`.

    Raises:
        InputError: If the list of images can't be read, lacks a category asked for, or yields no question.
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        folder: str,
        image_set: str = "train",
        categories: list[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(Path(folder) / "JPEGImages", **kwargs)
        self.path = Path(folder) / "ImageSets" / "Main" / f"{image_set}.txt"
        images = [read_image(Path(folder) / "Annotations", name) for name in read_names(self.path)]
        known = sorted({found.category for image in images for found in image.objects})
        asked = resolve_categories(categories, known, str(self.path))
        positions = {name: i for i, name in enumerate(asked)}
        self.ask_about(AnnotatedImages(str(self.path), asked, annotated(images, positions)))


@dataclass(frozen=True)
class VOCObject:
    """One ``object`` of a file of annotations."""

    category: str
    box: XYXY | str
    """0-based xyxy pixels, right and bottom exclusive, or a sentence on why they are none."""
    difficult: bool


@dataclass(frozen=True)
class VOCImage:
    """One file of annotations."""

    file: str
    """Of the picture, in ``JPEGImages``."""
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    objects: tuple[VOCObject, ...] = ()
    fault: str | None = None
    """Why it can't be read."""


def annotated(images: list[VOCImage], positions: Mapping[str, int]) -> Iterator[AnnotatedImage]:
    """Keep the objects of the categories asked for, numbered from 1 as in their file."""
    for image in images:
        objects = [
            AnnotatedObject(number, positions[found.category], found.box, crowd=found.difficult)
            for number, found in enumerate(image.objects, start=1)
            if found.category in positions
        ]
        yield AnnotatedImage(image.file, image.size, objects, fault=image.fault)


def read_names(path: Path) -> list[str]:
    """Read a list of images: a name a line; lists of one category have a flag behind it, which is not needed.

    Raises:
        InputError: If it can't be read or names no image.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"Expected a list of VOC images at {path}, but it can't be read: {error}.") from error
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise InputError(f"Expected {path} to name at least one image, but it is empty.")
    return names


def read_image(folder: Path, name: str) -> VOCImage:
    """Read the annotations of a picture; what is wrong with them is kept as its fault."""
    file, path = f"{name}.jpg", folder / f"{name}.xml"
    try:
        root = read_xml(path)
        file = name + (PurePosixPath(root.findtext("filename", "").strip()).suffix or ".jpg")
        width, height = (number(root.findtext(f"size/{key}", "0")) for key in ("width", "height"))
        size = declared_size(width, height, str(path))
        return VOCImage(file, size, tuple(read_object(element, path) for element in root.findall("object")))
    except InputError as error:
        return VOCImage(file, fault=str(error))


def read_xml(path: Path) -> ElementTree.Element:
    """Read XML that declares no types and entities of its own, which could grow without bounds.

    Raises:
        InputError: If the file can't be read, is no such XML, or is too large.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8-sig")
        declares = "<!DOCTYPE" in text or "<!ENTITY" in text
        root = None if declares or len(text) > MAX_BYTES else ElementTree.fromstring(text)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise InputError(f"Expected VOC annotations at {path}, but they can't be read: {error}.") from error
    if root is None:
        what = "declares a document type or entities" if declares else f"has more than {MAX_BYTES} bytes"
        raise InputError(f"Expected plain VOC annotations at {path}, but the file {what}.")
    return root


def read_object(element: ElementTree.Element, path: Path) -> VOCObject:
    """Read an ``object``.

    Raises:
        InputError: If it has no name, or is neither difficult nor not.
    """
    name = element.findtext("name", "").strip()
    if not name:
        raise InputError(f"{path}: expected every `object` to have a `name`, but one has none.")
    difficult = element.findtext("difficult", "").strip() or "0"
    if difficult not in ("0", "1"):
        raise InputError(f"{path}: expected `difficult` of {name!r} to be 0 or 1, but got {difficult[:60]!r}.")
    texts = [element.findtext(f"bndbox/{key}", "") for key in _EDGES]
    left, top, right, bottom = edges = [number(text) for text in texts]
    box: XYXY | str = (left - 1, top - 1, right, bottom)
    if not all(map(math.isfinite, edges)):
        box = f"expected `bndbox` to hold the numbers {', '.join(_EDGES)}, but got {str(texts)[:200]}"
    return VOCObject(name, box, difficult == "1")


def number(text: str) -> float:
    """Read a number; NaN for text that is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan

"""LISA's reasoning segmentation: a JSON of questions and polygons beside each picture."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from vrft_pl.answers import Box, Mask, Polygon
from vrft_pl.data.boxes import is_number
from vrft_pl.data.images import FileImage, regular
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.templates import fields_of
from vrft_pl.types import InputError

ENCODINGS = ("utf-8-sig", "cp1252")
"""In which the published files are written, the first that fits."""
EXTENSIONS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".webp")
"""Of pictures, in the order in which they are looked for."""
ARTICLE = "the "


class LISA(Source):
    """A question about a picture whose answer is what it means: one box around all of its targets, with their mask.

    ``x.json`` beside ``x.jpg`` holds ``text`` (one or more questions), ``is_sentence`` and ``shapes``, each a polygon
    with a ``label``: shapes of a label with ``ignore`` in it count neither for nor against an answer, those labelled
    ``flag`` are not read, and all others are targets (https://github.com/dvlab-research/LISA,
    ``utils/data_processing.py``). Every question is a row.

    Args:
        folder: Folder of the JSON files, such as ``ReasonSeg/train``.
        image_root: Folder of the pictures. Defaults to ``folder``.
        sentence: How a whole sentence is asked; ``{text}`` is replaced.
        phrase: How a phrase is asked; ``{text}`` is replaced, an article before and a full stop behind it left out.

    Raises:
        InputError: If there is no such folder, or no JSON file in it.
        ValueError: If a template lacks ``{text}`` or has another field.
    """

    def __init__(
        self,
        folder: str,
        image_root: str | None = None,
        sentence: str = "{text}",
        phrase: str = "Locate the {text}.",
    ) -> None:
        for name, template in {"sentence": sentence, "phrase": phrase}.items():
            if fields_of(name, template) != [("text", "", None)]:
                raise ValueError(f"Expected `{name}` to hold {{text}} once, and no other field, but got {template!r}.")
        self.folder, self.sentence, self.phrase = Path(folder), sentence, phrase
        self.image_root = self.folder if image_root is None else Path(image_root)
        if not self.folder.is_dir():
            raise InputError(f"Expected a folder of LISA's JSON files at {folder}, but there is none.")
        self.rows: list[tuple[Path, int]] = []
        for path in sorted(path for path in self.folder.glob("*.json") if not path.name.startswith(".")):
            try:
                count = len(read_texts(read_annotation(path), str(path)))
            except InputError:
                count = 1  # raised again when the row is read, where the task decides what becomes of it
            self.rows += [(path, i) for i in range(count)]
        if not self.rows:
            raise InputError(f"Expected JSON files of LISA in {folder}, but there is none.")

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read question ``index``; its answer is a `Box` with a `Mask`."""
        path, question = self.rows[index]
        annotation = read_annotation(path)
        owner = f"{path}, text {question}"
        text = read_texts(annotation, str(path))[question].strip()
        if not text:
            raise InputError(f"{owner}: expected a question, but it is blank.")
        image = FileImage(find_picture(self.image_root, path.stem), owner)
        return Record(owner, (image,), self._problem(annotation, text, owner), read_box(annotation, str(path)))

    def _problem(self, annotation: dict[str, Any], text: str, owner: str) -> str:
        whole = annotation.get("is_sentence", True)
        if not isinstance(whole, bool | int):
            raise InputError(f"{owner}: expected `is_sentence` to be true or false, but got {whole!r}.")
        if whole:
            return self.sentence.format(text=text)
        text = text[len(ARTICLE) :] if text.lower().startswith(ARTICLE) else text
        return self.phrase.format(text=text.rstrip(". "))


def read_annotation(path: Path) -> dict[str, Any]:
    """Read the annotation of one picture.

    Raises:
        InputError: If the file is missing, in another encoding, or not a JSON object.
    """
    try:
        content = regular(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected an annotation of LISA, but it can't be read: {error}.") from error
    reasons: list[str] = []
    for encoding in ENCODINGS:
        try:
            annotation = json.loads(content.decode(encoding))
        except UnicodeDecodeError as error:
            reasons.append(str(error))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: expected JSON, but it can't be parsed: {error}.") from error
        else:
            break
    else:
        raise InputError(f"{path}: expected an annotation of LISA, but it can't be read: {'; '.join(reasons)}.")
    if not isinstance(annotation, dict):
        raise InputError(f"{path}: expected a JSON object, but got a JSON {type(annotation).__name__}.")
    return annotation


def read_texts(annotation: dict[str, Any], owner: str) -> list[str]:
    """Read the questions of a picture.

    Raises:
        InputError: If there is none, or one is no text.
    """
    value = annotation.get("text")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{owner}: expected `text` to be a question or a list of them, but got {reprlib.repr(value)}.")
    return texts


def read_box(annotation: dict[str, Any], owner: str) -> Box:
    """Read the shapes of a picture as the box around its targets.

    Raises:
        InputError: If a shape is none, or there is no target.
    """
    shapes = annotation.get("shapes")
    if not isinstance(shapes, list):
        raise InputError(f"{owner}: expected a list `shapes`, but got {reprlib.repr(shapes)}.")
    targets: list[Polygon] = []
    ignored: list[Polygon] = []
    for i, shape in enumerate(shapes):
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str):
            raise InputError(f"{owner}: expected shape {i} to have a `label`, but got {reprlib.repr(label)}.")
        if label.lower() != "flag":
            polygon = read_shape(shape, f"{owner}, shape {i} ({label})")
            (ignored if "ignore" in label.lower() else targets).append(polygon)
    if not targets:
        raise InputError(f"{owner}: expected a target among {len(shapes)} `shapes`, but there is none.")
    xs = [x for polygon in targets for x in polygon[::2]]
    ys = [y for polygon in targets for y in polygon[1::2]]
    return Box((min(xs), min(ys), max(xs), max(ys)), Mask(tuple(targets), tuple(ignored)))


def read_shape(shape: dict[str, Any], owner: str) -> Polygon:
    """Read one shape; a rectangle, as LabelMe writes it, has two points.

    Raises:
        InputError: If it is another kind of shape, or its points are none.
    """
    kind, points = shape.get("shape_type", "polygon"), shape.get("points")
    if kind not in ("polygon", "rectangle"):
        raise InputError(f"{owner}: expected `shape_type` to be polygon or rectangle, but got {reprlib.repr(kind)}.")
    if kind == "rectangle" and isinstance(points, list) and len(points) == 2:
        match points:
            case [[x1, y1], [x2, y2]]:
                points = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
    if not isinstance(points, list) or len(points) < 3:
        raise InputError(f"{owner}: expected at least 3 points [x, y], but got {reprlib.repr(points)}.")
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(map(is_number, point)):
            raise InputError(f"{owner}: expected points [x, y] of finite numbers, but got {reprlib.repr(point)}.")
    return tuple(float(value) for point in points for value in point)


def find_picture(root: Path, stem: str) -> Path:
    """Find the picture of an annotation; where there is none, name the one that was expected."""
    paths = [root / f"{stem}{extension}" for extension in EXTENSIONS]
    return next((path for path in paths if path.is_file()), paths[0])

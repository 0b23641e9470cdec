"""Questions over pictures whose objects have boxes."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random
from string import Formatter
from typing import Literal

from vrft_pl.answers import Instances
from vrft_pl.data.images import FileImage, below
from vrft_pl.data.sources.annotated import AnnotatedImages, measure
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.types import InputError

Ask = Literal["one", "all"]
QUESTIONS: dict[Ask, str] = {
    "one": "Detect all objects belonging to the category '{category}' in the image.",
    "all": "Detect all objects belonging to the categories {categories} in the image.",
}
"""Visual-RFT's wording (https://arxiv.org/abs/2503.01785, table 1); the form of the answer is added to it later."""
_EVERY = -1
"""Stands for a category in a question about all of them."""


class DetectionQuestions(Source):
    """Questions for the objects of one category of a picture, or of all its categories.

    A category of which a picture has nothing but crowds and boxes that were left out is neither present nor absent: it
    is asked for under ``negatives="all"`` alone.

    Args:
        image_root: Folder of the pictures.
        ask: ``one``: a question for each category that a picture has. ``all``: one question for each picture.
        negatives: Questions with nothing to find. ``one``: how many absent categories are asked for in a picture, a
            choice that depends on the seed and the name of the picture alone, or ``all``. ``all``: 0 leaves out the
            pictures that have none of the categories. Average precision needs ``all``.
        question: Template of the question, with ``{category}`` (``ask="one"``) or ``{categories}`` (``ask="all"``).
        bad_boxes: ``error`` stops at a box of no area, outside its picture or not of four numbers, when its question is
            read; ``drop`` leaves such boxes out and warns how many they are.
        seed: Seed of the choice of negatives.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        image_root: Path,
        ask: Ask = "one",
        negatives: int | Literal["all"] = 0,
        question: str | None = None,
        bad_boxes: Literal["error", "drop"] = "error",
        seed: int = 0,
    ) -> None:
        for name, value, allowed in (("ask", ask, ("one", "all")), ("bad_boxes", bad_boxes, ("error", "drop"))):
            if value not in allowed:
                raise ValueError(f"Expected `{name}` to be one of {list(allowed)}, but got {value!r}.")
        if negatives != "all" and (not isinstance(negatives, int) or negatives < 0):
            raise ValueError(f"Expected `negatives` to be 0 or more categories or 'all', but got {negatives!r}.")
        self.image_root, self.ask, self.negatives, self.seed = image_root, ask, negatives, seed
        self.bad_boxes, self.question = bad_boxes, QUESTIONS[ask] if question is None else question
        check_question(self.question, ask)

    def ask_about(self, images: AnnotatedImages) -> None:
        """Draw up the questions; the constructor of each format ends with it.

        Raises:
            InputError: If there is none.
        """
        self.images = images
        self.dropped = self._bad_boxes() if self.bad_boxes == "drop" else frozenset[int]()
        # pairs of picture and category side by side: evaluation on COCO asks 400 000 questions
        self.rows = array("i", chain.from_iterable(self._questions()))
        if not self.rows:
            raise InputError(f"Expected {images.origin} to hold an object of {list(images.names)}, but it has none.")

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.rows) // 2

    def __getitem__(self, index: int) -> Record:
        """Read question ``index``; its answer is an `Instances`.

        Raises:
            InputError: If a box or the size of the picture is wrong, or the picture is missing.
        """
        images, (image, category) = self.images, self._row(index)
        if image in images.faults:
            raise InputError(images.faults[image])
        asked = self._asked(image, category)
        names = tuple(images.names[i] for i in asked)
        owner = f"{images.origin}, image {images.files[image]}"
        file = FileImage(below(self.image_root, images.files[image], owner), owner)
        measured = measure(file, images.sizes[image])
        items = [images.instance(i, measured) for i in self._objects(image) if images.categories[i] in asked]
        partial = tuple(images.names[i] for i in images.partial.get(image, ()) if i in asked)
        listed = ", ".join(f"'{name}'" for name in names)
        problem = self.question.format(**{"category": names[0]} if self.ask == "one" else {"categories": listed})
        row = f"{owner}, category {names[0]}" if self.ask == "one" else owner
        answer = Instances(tuple(items), names, images.files[image], partial, images.image_ids[image])
        return Record(row, (FileImage(file.path, row),), problem, answer)

    def classes(self, index: int) -> tuple[str, ...]:
        """Categories of the objects to be found; none for a negative. Opens no picture."""
        image, category = self._row(index)
        asked, found = self._asked(image, category), self._present(image)
        return tuple(self.images.names[i] for i in asked if i in found)

    def _row(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a row below {len(self)}, but got {index}.")
        return self.rows[2 * index], self.rows[2 * index + 1]

    def _asked(self, image: int, category: int) -> list[int]:
        return self.images.known(image) if category == _EVERY else [category]

    def _objects(self, image: int) -> list[int]:
        return [i for i in self.images.objects(image) if i not in self.dropped]

    def _present(self, image: int) -> set[int]:
        """Categories with an object to be found."""
        return {self.images.categories[i] for i in self._objects(image) if not self.images.crowds[i]}

    def _questions(self) -> Iterator[tuple[int, int]]:
        """Pairs of picture and category, in the order of the file."""
        for image in range(len(self.images.files)):
            if image in self.images.faults:
                yield image, 0
            elif self.ask == "one":
                yield from ((image, category) for category in self._single(image))
            elif self._is_asked(image):
                yield image, _EVERY

    def _single(self, image: int) -> list[int]:
        """Categories asked for one by one."""
        images, present = self.images, self._present(image)
        if self.negatives == "all":
            return images.known(image)
        if not self.negatives:
            return sorted(present)
        annotated = {images.categories[i] for i in images.objects(image)}
        absent = [i for i in images.known(image) if i not in annotated]
        chosen = Random(f"{self.seed}/{images.files[image]}").sample(absent, min(int(self.negatives), len(absent)))
        return sorted([*present, *chosen])

    def _is_asked(self, image: int) -> bool:
        """Whether a picture gets a question for all categories."""
        if not self.images.known(image):
            return False
        empty = bool(self.negatives) and not self.images.objects(image)
        return self.negatives == "all" or empty or bool(self._present(image))

    def _bad_boxes(self) -> frozenset[int]:
        """Positions of the objects to leave out."""
        images, reasons = self.images, {}
        for image, name in enumerate(images.files):
            owner = f"{images.origin}, image {name}"
            try:
                file = measure(FileImage(below(self.image_root, name, owner), owner), images.sizes[image], trust=True)
            except InputError:
                continue  # a missing picture is the fault of its row, not of its boxes
            for position in images.objects(image):
                try:
                    images.box(position, file)
                except InputError as error:
                    reasons[position] = str(error)
        if reasons:
            warnings.warn(
                f"Left out {len(reasons)} of {len(images)} boxes of {images.origin}. "
                f"First: {next(iter(reasons.values()))}",
                stacklevel=4,
            )
        return frozenset(reasons)


def check_question(template: str, ask: Ask) -> None:
    """Raise `ValueError` for a template of a question that does not name what is asked for."""
    field = {"one": "category", "all": "categories"}[ask]
    try:
        fields = {part[1:] for part in Formatter().parse(template) if part[1] is not None}
    except ValueError as error:
        raise ValueError(f"Expected `question` to be a template, but {template!r} is none: {error}.") from error
    if fields != {(field, "", None)}:
        raise ValueError(f"Expected `question` to hold {{{field}}} and no other field, but got {template!r}.")

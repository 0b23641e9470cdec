"""Questions over pictures whose objects have boxes."""

from __future__ import annotations

import warnings
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

from vrft_pl.answers import NO_OBJECTS, Box, Instances, Label, Number
from vrft_pl.data.images import FileImage, below
from vrft_pl.data.sources.annotated import AnnotatedImages, MeasuredImage, measure
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.folders import QUESTION
from vrft_pl.templates import fields_of
from vrft_pl.types import InputError

Ask = Literal["one", "all", "box", "count", "class", "largest"]
QUESTIONS: dict[Ask, str] = {
    "one": "Detect all objects belonging to the category '{category}' in the image.",
    "all": "Detect all objects belonging to the categories {categories} in the image.",
    "box": "Locate the {category}.",
    "count": "How many objects of the category '{category}' are in the image?",
    "class": QUESTION,
    "largest": "Which class does the largest object in the image belong to?",
}
"""Visual-RFT's wording where it has one (https://arxiv.org/abs/2503.01785, table 1); the form of an answer is added."""
FIELDS: dict[Ask, str | None] = {"one": "category", "all": "categories", "box": "category", "count": "category"}
"""What each question names, if anything."""
_EVERY = -1
"""Stands for a category in a question about all of them."""


class DetectionQuestions(Source):
    """Questions for the objects of one category of a picture, or of all its categories.

    A category of which a picture has nothing but crowds and boxes that were left out is neither present nor absent: it
    is asked for under ``negatives="all"`` alone.

    Args:
        image_root: Folder of the pictures.
        ask: For `Detection`, ``one``: a question for each category that a picture has, or ``all``: one question for
            each picture. For `Grounding`, ``box``: each category that a picture has one object of. For `Counting`,
            ``count``: each category that has no crowd there. For `Classification`, ``class``: each picture whose
            objects are of one category, or ``largest``: that of the object with the largest box. Categories that are
            not annotated exhaustively, as some of LVIS, are neither located nor counted.
        negatives: Questions with nothing to find. Unless all categories are asked for together: how many absent ones
            are asked for in a picture, a choice that depends on the seed and the name of the picture alone, or ``all``;
            a count is 0 then, and `Grounding` has to allow for it (``negatives``). ``all``: 0 leaves out the pictures
            that have none of the categories. Average precision needs ``all``.
        question: Template of the question, with ``{categories}`` (``ask="all"``), with nothing to fill in (``class``,
            ``largest``), or with ``{category}``.
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
        for name, value, allowed in (("ask", ask, get_args(Ask)), ("bad_boxes", bad_boxes, ("error", "drop"))):
            if value not in allowed:
                raise ValueError(f"Expected `{name}` to be one of {list(allowed)}, but got {value!r}.")
        if negatives != "all" and (not isinstance(negatives, int) or negatives < 0):
            raise ValueError(f"Expected `negatives` to be 0 or more categories or 'all', but got {negatives!r}.")
        if negatives and ask in ("class", "largest"):
            raise ValueError(f"Expected no `negatives` with `ask: {ask}`, but got {negatives!r}.")
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
        """Read question ``index``; its answer is an `Instances`, or what else is asked for.

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
        listed = ", ".join(f"'{name}'" for name in names)
        problem = self.question.format(category=names[0], categories=listed)
        row = f"{owner}, category {names[0]}" if FIELDS.get(self.ask) == "category" else owner
        return Record(row, (FileImage(file.path, row),), problem, self._answer(image, asked, measured))

    def _answer(self, image: int, asked: list[int], file: MeasuredImage) -> Any:
        """The answer to a question about some categories of a picture."""
        images, names = self.images, tuple(self.images.names[i] for i in asked)
        if self.ask in ("class", "largest"):
            return Label(names[0])
        if self.ask == "count":
            return Number(float(self._annotated(image)[asked[0]]))
        items = tuple(images.instance(i, file) for i in self._objects(image) if images.categories[i] in asked)
        if self.ask == "box":
            return Box(items[0].xyxy) if items else NO_OBJECTS
        partial = tuple(images.names[i] for i in images.partial.get(image, ()) if i in asked)
        return Instances(items, names, images.files[image], partial, images.image_ids[image])

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
            elif self.ask != "all":
                yield from ((image, category) for category in self._single(image))
            elif self._is_asked(image):
                yield image, _EVERY

    def _single(self, image: int) -> list[int]:
        """Categories asked for one by one."""
        images, present = self.images, self._fitting(image)
        if self.negatives == "all" and self.ask == "one":
            return images.known(image)
        if not self.negatives:
            return sorted(present)
        annotated = self._annotated(image)
        absent = [i for i in images.known(image) if i not in annotated]
        if self.negatives == "all":
            return sorted([*present, *absent])
        chosen = Random(f"{self.seed}/{images.files[image]}").sample(absent, min(int(self.negatives), len(absent)))
        return sorted([*present, *chosen])

    def _fitting(self, image: int) -> set[int]:
        """Categories with an object to be found, of which there is a question of the kind that is asked."""
        images, present, count = self.images, self._present(image), self._annotated(image)
        crowds = {images.categories[i] for i in images.objects(image) if images.crowds[i]}
        if self.ask in ("box", "count"):
            clear = present - crowds - {*images.partial.get(image, ())}
            return {i for i in clear if self.ask == "count" or count[i] == 1}
        if self.ask == "class":
            return present if len(count) == 1 else set()
        if self.ask == "largest" and present:
            alone = [i for i in self._objects(image) if not images.crowds[i]]
            return {images.categories[max(alone, key=images.covered)]}
        return present

    def _annotated(self, image: int) -> Counter[int]:
        """Objects of each category, whatever their boxes."""
        return Counter(self.images.categories[i] for i in self.images.objects(image))

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
    field = FIELDS.get(ask)
    fields = set(fields_of("question", template))
    if fields != ({(field, "", None)} if field else set()):
        wanted = f"hold {{{field}}} and no other field" if field else "hold no field"
        raise ValueError(f"Expected `question` to {wanted}, but got {template!r}.")

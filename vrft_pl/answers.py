"""Answers: the kinds of ground truth, and the coordinates they are written in.

A kind extends `Solution`, which is all that prompts, targets, pictures, predictions and checks know of it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median_low
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vrft_pl.central import central_boxes, commonest

XYXY = tuple[float, float, float, float]
"""Left, top, right and bottom edge."""

XY = tuple[float, float]
"""A point, x and y."""

Polygon = tuple[float, ...]
"""``x1, y1, x2, y2, ...`` of at least three corners."""

NO_OBJECTS = "No Objects"
"""The answer to a detection question when there is nothing to find."""


@dataclass(frozen=True)
class AnswerFrame:
    """Converts coordinates of one prompt between the policy's answer space and pixels of the original image."""

    width: int
    """Width of the original image in pixels."""
    height: int
    """Height of the original image in pixels."""
    scale_x: float
    """Pixels of the original image per horizontal unit of the answer."""
    scale_y: float
    """Pixels of the original image per vertical unit of the answer."""
    decimals: int = 0
    """Decimals with which the policy writes a coordinate."""
    y_first: bool = False
    """Whether the policy writes ``y1, x1, y2, x2``."""

    def to_pixels(self, box: Sequence[float]) -> XYXY:
        """Convert an answered box, its edges in the policy's order, to an xyxy box in pixels of the original image."""
        x1, y1, x2, y2 = _turned(box) if self.y_first else box
        return x1 * self.scale_x, y1 * self.scale_y, x2 * self.scale_x, y2 * self.scale_y

    def to_answer(self, box: Sequence[float]) -> XYXY:
        """Convert an xyxy box in pixels of the original image to the policy's answer space, and order of edges."""
        scaled = box[0] / self.scale_x, box[1] / self.scale_y, box[2] / self.scale_x, box[3] / self.scale_y
        return _turned(scaled) if self.y_first else scaled

    def text(self, box: Sequence[float]) -> str:
        """Write a box in pixels of the original image as the policy should.

        Example:
            >>> AnswerFrame(640, 480, 0.64, 0.48).text((64, 48, 320, 240))
            '[100, 100, 500, 500]'
        """
        a1, b1, a2, b2 = self.to_answer(box)
        (a1, a2), (b1, b2) = (widened_span(*span, self.decimals) for span in ((a1, a2), (b1, b2)))
        return f"[{', '.join(f'{v:.{self.decimals}f}' for v in (a1, b1, a2, b2))}]"


def _turned(box: Sequence[float]) -> XYXY:
    """Exchange x and y."""
    return box[1], box[0], box[3], box[2]


def edges(coordinates: str) -> str:
    """The order in which a question asks for the edges of a box, by how it names the coordinates."""
    return "[y1, x1, y2, x2]" if coordinates.endswith(Y_FIRST) else "[x1, y1, x2, y2]"


Y_FIRST = "y first"
"""What the words for coordinates end with where y is written before x."""


THOUSANDTHS = AnswerFrame(1000, 1000, 1.0, 1.0)
"""Writes boxes that are in thousandths of the picture already."""


def thousandths(width: int, height: int) -> AnswerFrame:
    """Writes in thousandths of a picture of this size what is in its pixels."""
    return AnswerFrame(width, height, width / 1000, height / 1000)


def widened_span(low: float, high: float, decimals: int) -> tuple[float, float]:
    """Widen a span that would vanish when it is rounded to the smallest that holds its lower end."""
    if f"{low:.{decimals}f}" != f"{high:.{decimals}f}":
        return low, high
    step = 10.0**-decimals
    first = math.floor(low / step)
    return first * step, (first + 1) * step


@dataclass(frozen=True)
class Mark:
    """Something to draw on the first picture of a question, in its pixels."""

    shape: XYXY | Polygon
    """The edges of a box, or the corners of an outline."""
    label: str = ""
    """Stands inside the upper left corner of a box."""
    faint: bool = False
    """Drawn lighter, and below everything else."""


class Solution(ABC):
    """The ground truth of one sample. All coordinates are pixels of the original image.

    A kind says how it is asked for and written. What it may also say, what there is to draw and which classes it names,
    has a default; how an answer to it is drawn is said by `vrft_pl.rewards.answered_marks`.
    """

    @abstractmethod
    def form(self, coordinates: str) -> str:
        """What the question asks for, such as "a number".

        Args:
            coordinates: How the policy writes coordinates, in words, such as "pixels".
        """

    @abstractmethod
    def text(self, frame: AnswerFrame | None) -> str:
        """Write the answer as the policy should.

        Args:
            frame: The policy's coordinates for the first picture; ``None`` where there is no picture.

        Raises:
            ValueError: If the answer needs coordinates and there is no picture.
        """

    def marks(self) -> tuple[Mark, ...]:
        """What to draw on the first picture, in the order of drawing: faint marks first."""
        return ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of classes that it holds."""
        return ()

    @classmethod
    def constants(cls, truths: Sequence[Solution], frames: Sequence[AnswerFrame | None]) -> list[str]:
        """Answers that may earn most of those that look at nothing; which of them does, the metrics find out.

        Unless a kind says otherwise, the commonest of the training rows.

        Args:
            truths: Of training rows, at least one, all of this kind.
            frames: Thousandths of the first picture of each; ``None`` where it has none, or no kind of coordinates.

        Returns:
            As a policy would write them in thousandths of the picture, the likeliest first.
        """
        return common_texts(truths, frames)


@dataclass(frozen=True)
class Number(Solution):
    """A numerical answer."""

    value: float
    unit: str | None = None
    """Unit that the answer may carry; without one, any known unit is read over."""

    def form(self, coordinates: str) -> str:
        """A number."""
        return "a number"

    def text(self, frame: AnswerFrame | None) -> str:
        """The number as briefly as it can be written, with its unit if it has one."""
        number = str(int(self.value)) if float(self.value).is_integer() else str(self.value)
        return number if self.unit is None else f"{number} {self.unit}"

    @classmethod
    def constants(cls, truths: Sequence[Solution], frames: Sequence[AnswerFrame | None]) -> list[str]:
        """The commonest numbers, the median, and the mean, a whole number where all are."""
        numbers = [truth for truth in truths if isinstance(truth, Number)]
        values = [number.value for number in numbers]
        mean = fmean(values)
        mean = round(mean) if all(float(value).is_integer() for value in values) else mean
        middle = [Number(value, numbers[0].unit).text(None) for value in (median_low(values), mean)]
        return [*common_texts(truths, frames), *middle]


@dataclass(frozen=True)
class Choice(Solution):
    """The letter of one of several options.

    Raises:
        ValueError: If ``letter`` is not one of A to Z.
    """

    letter: str
    """Upper case, ``A`` to ``Z``."""
    options: tuple[str, ...] = ()
    """Texts of the options, from A on, where they are known: an answer may then repeat the text of its option."""

    def __post_init__(self) -> None:
        if len(self.letter) != 1 or not "A" <= self.letter <= "Z":
            raise ValueError(f"Expected `letter` to be one of A to Z, but got {self.letter!r}.")

    def form(self, coordinates: str) -> str:
        """A letter."""
        return "the letter of one option"

    def text(self, frame: AnswerFrame | None) -> str:
        """The letter."""
        return self.letter


@dataclass(frozen=True)
class Expression(Solution):
    """Mathematics: a number, a formula or LaTeX."""

    latex: str

    def form(self, coordinates: str) -> str:
        """A number or an expression."""
        return "a number or an expression"

    def text(self, frame: AnswerFrame | None) -> str:
        """The expression as the source writes it."""
        return self.latex


@dataclass(frozen=True)
class Text(Solution):
    """Free text, which a judge or a reward of one's own compares."""

    value: str

    def form(self, coordinates: str) -> str:
        """A text."""
        return "a short text"

    def text(self, frame: AnswerFrame | None) -> str:
        """The text as the source writes it."""
        return self.value


@dataclass(frozen=True)
class Label(Solution):
    """A class name.

    Raises:
        ValueError: If ``name`` is blank.
    """

    name: str
    aliases: tuple[str, ...] = ()
    """Other names of the same class."""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError(f"Expected `name` to be the name of a class, but got {self.name!r}.")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Its name."""
        return (self.name,)

    def form(self, coordinates: str) -> str:
        """A class name."""
        return "a class name"

    def text(self, frame: AnswerFrame | None) -> str:
        """The name."""
        return self.name


@dataclass(frozen=True)
class Mask:
    """What a grounding answer should cover."""

    polygons: tuple[Polygon, ...]
    """Their union is the target."""
    ignored: tuple[Polygon, ...] = ()
    """Pixels that count neither for nor against an answer (LISA's ``ignore`` shapes)."""


@dataclass(frozen=True)
class Box(Solution):
    """One box as the answer, or none where nothing in the picture is what is asked for.

    Raises:
        ValueError: If there is no box, and the question does not allow for that.
    """

    xyxy: XYXY | None
    mask: Mask | None = None
    """What the box encloses, where it is known."""
    optional: bool = False
    """Whether the question allows for ``No Objects``; that of a question with a box says so too, or it would tell."""

    def __post_init__(self) -> None:
        if self.xyxy is None and not self.optional:
            raise ValueError(
                "Expected `optional` where there is no box, but got `False`: the question has to allow it."
            )

    def form(self, coordinates: str) -> str:
        """Four numbers."""
        nothing = f", or {NO_OBJECTS}," if self.optional else ""
        return f"a box {edges(coordinates)} in {coordinates}{nothing}"

    def text(self, frame: AnswerFrame | None) -> str:
        """The box in the policy's coordinates."""
        return NO_OBJECTS if self.xyxy is None else box_text(self.xyxy, frame)

    def marks(self) -> tuple[Mark, ...]:
        """The outline of what it encloses, and the box."""
        outlines = () if self.mask is None else self.mask.polygons
        return (*map(Mark, outlines), *([] if self.xyxy is None else [Mark(self.xyxy)]))

    @classmethod
    def constants(cls, truths: Sequence[Solution], frames: Sequence[AnswerFrame | None]) -> list[str]:
        """Boxes in the midst of the true ones, the whole picture, and that there is none where a question allows it."""
        asked = [(truth, frame) for truth, frame in zip(truths, frames, strict=True) if isinstance(truth, Box)]
        there = [(truth.xyxy, frame) for truth, frame in asked if truth.xyxy is not None]
        boxes = placed([box for box, _ in there], [frame for _, frame in there])
        nothing = [NO_OBJECTS] if any(truth.optional for truth, _ in asked) else []
        return [*nothing, *(THOUSANDTHS.text(box) for box in (*central(boxes), WHOLE))]


@dataclass(frozen=True)
class Points(Solution):
    """A point on each object of a kind: a count that says where."""

    places: tuple[XYXY | XY, ...]
    """The edges of each object, or a point on it where no edges are known."""

    def form(self, coordinates: str) -> str:
        """A list of points."""
        point = "[y, x]" if coordinates.endswith(Y_FIRST) else "[x, y]"
        return f"a list of points {point} in {coordinates}, one on each object, or {NO_OBJECTS},"

    def text(self, frame: AnswerFrame | None) -> str:
        """The middle of each object in the policy's coordinates."""
        points = [point_text(middle(place), frame) for place in self.places]
        return f"[{', '.join(points)}]" if points else NO_OBJECTS

    def marks(self) -> tuple[Mark, ...]:
        """The objects."""
        return tuple(Mark(around(place)) for place in self.places)

    @classmethod
    def constants(cls, truths: Sequence[Solution], frames: Sequence[AnswerFrame | None]) -> list[str]:
        """No objects; as many points as objects in common, spread over the picture; the commonest answers."""
        counts = [len(truth.places) for truth in truths if isinstance(truth, Points)]
        sizes = dict.fromkeys([median_low(counts), round(fmean(counts)), max(counts)])
        spread = [Points(tuple(spread_points(size))).text(THOUSANDTHS) for size in sizes if size]
        return [NO_OBJECTS, *spread, *common_texts(truths, frames)]


def middle(place: XYXY | XY) -> XY:
    """The middle of edges, or the point itself."""
    return ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2) if len(place) == 4 else place


def around(place: XYXY | XY, margin: float = 3.0) -> XYXY:
    """The edges, or those of a small square around a point."""
    return place if len(place) == 4 else (place[0] - margin, place[1] - margin, place[0] + margin, place[1] + margin)


def spread_points(count: int) -> list[XY]:
    """Points of a square grid over the picture, in thousandths of it."""
    side = math.ceil(math.sqrt(count))
    return [((i % side + 0.5) * 1000 / side, (i // side + 0.5) * 1000 / side) for i in range(count)]


@dataclass(frozen=True)
class Instance:
    """One annotated object."""

    xyxy: XYXY
    category: str
    area: float | None = None
    """Square pixels of its segmentation, by which COCO sorts it into sizes; defaults to the area of the box."""
    crowd: bool = False
    """Stands for many objects: boxes on it count neither for nor against an answer."""
    uncut: XYXY | None = field(default=None, compare=False)
    """As annotated, where that passes the edges of the picture: COCO and LVIS compare answers with it."""


@dataclass(frozen=True)
class Instances(Solution):
    """All objects of the categories that a question asks for; none is an answer too."""

    items: tuple[Instance, ...]
    categories: tuple[str, ...]
    """The categories asked for."""
    image: str
    """Name of the picture; several questions may ask about one."""
    not_exhaustive: tuple[str, ...] = ()
    """Categories of which only some objects are annotated: further boxes are not wrong (LVIS)."""
    image_id: int | str | None = field(default=None, compare=False)
    """Id of the picture in a file of COCO or LVIS, which order pictures whose scores tie by it."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The categories asked for."""
        return self.categories

    def form(self, coordinates: str) -> str:
        """A list of boxes, with labels where several categories are asked for."""
        label = ", 'Label': name" if len(self.categories) > 1 else ""
        box = f"{{'Position': {edges(coordinates)}, 'Confidence': c{label}}}"
        return f"a list of {box} in {coordinates}, or {NO_OBJECTS},"

    def text(self, frame: AnswerFrame | None) -> str:
        """The objects that are no crowds, in the policy's coordinates."""
        rows = []
        for item in self.items:
            label = f", 'Label': {item.category!r}" if len(self.categories) > 1 else ""
            if not item.crowd:
                rows.append(f"{{'Position': {box_text(item.xyxy, frame)}, 'Confidence': 1.0{label}}}")
        return f"[{', '.join(rows)}]" if rows else NO_OBJECTS

    def marks(self) -> tuple[Mark, ...]:
        """Crowds, then the other objects, with their categories where several are asked for."""
        items, named = sorted(self.items, key=lambda item: not item.crowd), len(self.categories) > 1
        return tuple(Mark(item.xyxy, item.category if named else "", item.crowd) for item in items)

    @classmethod
    def constants(cls, truths: Sequence[Solution], frames: Sequence[AnswerFrame | None]) -> list[str]:
        """No objects; one box in the midst of all; the boxes of some rows."""
        asked = [(truth, frame) for truth, frame in zip(truths, frames, strict=True) if isinstance(truth, Instances)]
        items = [(item, frame) for truth, frame in asked for item in truth.items if not item.crowd]
        boxes = central(placed([item.xyxy for item, _ in items], [frame for _, frame in items]))
        [category] = commonest((item.category for item, _ in items), 1) or [""]
        categories = max((truth.categories for truth, _ in asked), key=len)
        single = [Instances((Instance(box, category),), categories, "").text(THOUSANDTHS) for box in boxes]
        lists = [truth.text(frame) for truth, frame in asked if truth.items and frame is not None]
        return [NO_OBJECTS, *single, *lists[:: max(1, len(lists) // 6)][:6]]


@dataclass(frozen=True)
class Call:
    """One step of a spatial transformation, such as ``change_color(2, red)``."""

    function: str
    object: str
    value: str


@dataclass(frozen=True)
class Transformation(Solution):
    """The steps between two pictures, in any order."""

    calls: tuple[Call, ...]
    """At least one."""

    def __post_init__(self) -> None:
        """Check the calls."""
        if not self.calls:
            raise ValueError("Expected `calls` to hold at least one call, but got none.")

    def form(self, coordinates: str) -> str:
        """Calls."""
        return "calls such as change_color(object, value), separated by commas,"

    def text(self, frame: AnswerFrame | None) -> str:
        """The calls in their order."""
        return ", ".join(f"{call.function}({call.object}, {call.value})" for call in self.calls)

    @classmethod
    def constants(cls, truths: Sequence[Solution], frames: Sequence[AnswerFrame | None]) -> list[str]:
        """The commonest calls, one, two and three of them together, and the commonest answers."""
        calls = [call for truth in truths if isinstance(truth, Transformation) for call in truth.calls]
        single = commonest((Transformation((call,)).text(None) for call in calls), 4)
        return [*single, ", ".join(single[:2]), ", ".join(single[:3]), *common_texts(truths, frames)]


def point_text(point: XY, frame: AnswerFrame | None) -> str:
    """Write a point in the policy's coordinates.

    Raises:
        ValueError: If there is no picture to place it in.
    """
    if frame is None:
        raise ValueError("expected a picture for an answer with points, but there is none.")
    return f"[{', '.join(f'{value:.{frame.decimals}f}' for value in frame.to_answer((*point, *point))[:2])}]"


def box_text(box: XYXY, frame: AnswerFrame | None) -> str:
    """Write a box in the policy's coordinates.

    Raises:
        ValueError: If there is no picture to place it in.
    """
    if frame is None:
        raise ValueError("expected a picture for an answer with boxes, but there is none.")
    return frame.text(box)


WHOLE = (0.0, 0.0, 1000.0, 1000.0)
"""The whole picture, in thousandths of it."""


def common_texts(truths: Sequence[Solution], frames: Sequence[AnswerFrame | None], most: int = 6) -> list[str]:
    """The commonest answers as a policy would write them."""
    return commonest((truth.text(frame) for truth, frame in zip(truths, frames, strict=True)), most)


def placed(boxes: Sequence[XYXY], frames: Sequence[AnswerFrame | None]) -> NDArray[np.float64]:
    """Boxes in the units of their frames, those without one left out. Returns shape ``(N, 4)``."""
    pairs = zip(boxes, frames, strict=True)
    return np.array([frame.to_answer(box) for box, frame in pairs if frame is not None]).reshape(-1, 4)


def central(boxes: NDArray[np.float64]) -> list[XYXY]:
    """Boxes in the midst of others; none where there are none."""
    return [cast(XYXY, tuple(box)) for box in central_boxes(boxes, 6).tolist()] if len(boxes) else []

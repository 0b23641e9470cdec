"""Ground truth: what a right answer is, by kind. All coordinates are pixels of the original image."""

from __future__ import annotations

from dataclasses import dataclass

XYXY = tuple[float, float, float, float]
"""Left, top, right and bottom edge."""

Polygon = tuple[float, ...]
"""``x1, y1, x2, y2, ...`` of at least three corners."""


@dataclass(frozen=True)
class Number:
    """A numerical answer."""

    value: float
    unit: str | None = None
    """Unit that the answer may carry; without one, any known unit is read over."""


@dataclass(frozen=True)
class Choice:
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


@dataclass(frozen=True)
class Expression:
    """Mathematics: a number, a formula or LaTeX."""

    text: str


@dataclass(frozen=True)
class Label:
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


@dataclass(frozen=True)
class Mask:
    """What a grounding answer should cover."""

    polygons: tuple[Polygon, ...]
    """Their union is the target."""
    ignored: tuple[Polygon, ...] = ()
    """Pixels that count neither for nor against an answer (LISA's ``ignore`` shapes)."""


@dataclass(frozen=True)
class Box:
    """One box as the answer."""

    xyxy: XYXY
    mask: Mask | None = None
    """What the box encloses, where it is known."""


@dataclass(frozen=True)
class Instance:
    """One annotated object."""

    xyxy: XYXY
    category: str
    area: float | None = None
    """Square pixels of its segmentation, by which COCO sorts it into sizes; defaults to the area of the box."""
    crowd: bool = False
    """Stands for many objects: boxes on it count neither for nor against an answer."""


@dataclass(frozen=True)
class Instances:
    """All objects of the categories that a question asks for; none is an answer too."""

    items: tuple[Instance, ...]
    categories: tuple[str, ...]
    """The categories asked for."""
    image: str
    """Name of the picture; several questions may ask about one."""
    not_exhaustive: tuple[str, ...] = ()
    """Categories of which only some objects are annotated: further boxes are not wrong (LVIS)."""


@dataclass(frozen=True)
class Call:
    """One step of a spatial transformation, such as ``change_color(2, red)``."""

    function: str
    object: str
    value: str


@dataclass(frozen=True)
class Transformation:
    """The steps between two pictures, in any order."""

    calls: tuple[Call, ...]
    """At least one."""

    def __post_init__(self) -> None:
        """Check the calls."""
        if not self.calls:
            raise ValueError("Expected `calls` to hold at least one call, but got none.")


Solution = Number | Choice | Expression | Label | Box | Instances | Transformation
"""The ground truth of one sample."""

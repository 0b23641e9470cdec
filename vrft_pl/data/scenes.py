"""Procedural scenes of coloured shapes with exact ground truth: every family runs with no download."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image, ImageDraw

from vrft_pl.data.sources import Record, Source

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 230),
    "yellow": (240, 215, 50),
}
OUTLINES = {
    "circle": None,
    "square": ((0, 0), (1, 0), (1, 1), (0, 1)),
    "triangle": ((0.5, 0), (1, 1), (0, 1)),
    "diamond": ((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)),
    "cross": (
        *((0.33, 0), (0.67, 0), (0.67, 0.33), (1, 0.33), (1, 0.67), (0.67, 0.67)),
        *((0.67, 1), (0.33, 1), (0.33, 0.67), (0, 0.67), (0, 0.33), (0.33, 0.33)),
    ),
    "star": (
        *((0.5, 0), (0.62, 0.36), (1, 0.38), (0.7, 0.6), (0.8, 1)),
        *((0.5, 0.76), (0.2, 1), (0.3, 0.6), (0, 0.38), (0.38, 0.36)),
    ),
}
"""Corners in the unit square; a circle has none."""


@dataclass(frozen=True)
class Shape:
    """One shape of a scene."""

    kind: str
    """A key of `OUTLINES`."""
    colour: str
    """A key of `COLOURS`."""
    box: tuple[int, int, int, int]
    """xyxy pixels; left and top inclusive, right and bottom exclusive."""


@dataclass(frozen=True)
class SceneImage:
    """A scene that is drawn when it is opened."""

    shapes: tuple[Shape, ...]
    """In drawing order."""
    size: int
    """Side of the square picture in pixels."""
    background: tuple[int, int]
    """Darkest and lightest grey of the background; they are equal on a flat one."""
    noise_seed: int
    """Seed of the background's noise and of the jitter of colours."""
    colour_jitter: int = 0
    """Largest change of a colour channel, per shape."""
    fade: float = 0.0
    """Share of the background in the colour of each shape."""

    def open(self) -> Image.Image:
        """Draw the scene."""
        rng = np.random.default_rng(self.noise_seed)
        low, high = self.background
        grey = rng.integers(low, high + 1, (self.size, self.size, 1), dtype=np.uint8)
        image = Image.fromarray(np.repeat(grey, 3, axis=2))
        draw = ImageDraw.Draw(image)
        for shape in self.shapes:
            jitter = rng.integers(-self.colour_jitter, self.colour_jitter + 1, 3)
            colour = (1 - self.fade) * (np.array(COLOURS[shape.colour]) + jitter) + self.fade * (low + high) / 2
            draw_shape(draw, shape, tuple(int(c) for c in np.clip(colour, 0, 255)))
        return image


def draw_shape(draw: ImageDraw.ImageDraw, shape: Shape, fill: tuple[int, ...]) -> None:
    """Draw a shape so that it touches all four edges of its box."""
    left, top, right, bottom = shape.box
    corners = OUTLINES[shape.kind]
    if corners is None:
        draw.ellipse((left, top, right - 1, bottom - 1), fill=fill)
    else:
        width, height = right - left - 1, bottom - top - 1
        draw.polygon([(left + round(x * width), top + round(y * height)) for x, y in corners], fill=fill)


@dataclass(frozen=True)
class Domain:
    """What scenes of one distribution look like."""

    kinds: tuple[str, ...] = ("circle", "square", "triangle")
    """Shapes that occur."""
    colours: tuple[str, ...] = tuple(COLOURS)
    """Colours that occur."""
    backgrounds: tuple[tuple[int, int], ...] = ((90, 90), (110, 110), (130, 130), (150, 150))
    """Ranges of grey, one of which is drawn per scene."""
    counts: tuple[int, int] = (1, 6)
    """Fewest and most objects of the asked colour (counting)."""
    distractors: tuple[int, int] = (0, 4)
    """Fewest and most objects of other colours (counting)."""
    pairs: str = "seen"
    """``seen`` keeps `HELD_OUT_PAIRS` out, ``held_out`` uses no other, ``any`` allows all."""
    colour_jitter: int = 12
    """Largest change of a colour channel."""
    fade: float = 0.0
    """Share of the background in the colour of each shape."""


HELD_OUT_PAIRS = frozenset({("triangle", "red"), ("circle", "blue"), ("square", "yellow")})
"""Pairs of shape and colour that never occur in training scenes."""

DOMAINS = {
    "base": Domain(),
    "pairs": Domain(pairs="held_out"),
    "crowded": Domain(counts=(5, 9), distractors=(2, 6)),
    "noise": Domain(backgrounds=((170, 255),), pairs="any"),
    "shapes": Domain(kinds=("diamond", "cross"), pairs="any"),
    "night": Domain(kinds=("star", "cross"), backgrounds=((0, 60),), pairs="any", colour_jitter=40, fade=0.4),
    "snow": Domain(kinds=("diamond", "cross"), backgrounds=((170, 255),), pairs="any", colour_jitter=40, fade=0.5),
}
"""``base`` is what the embedded policy was trained on; every other one is a shift away from it."""


class Scenes(Source):
    """Scenes of one domain. Row ``i`` depends on the seed and on ``i`` alone.

    Args:
        domain: A key of `DOMAINS`.
        size: Number of rows.
        image_size: Side of the picture in pixels, a multiple of 4 that is at least 32.
        seed: Seed of the stream. Set by the task: training rows follow the run's seed, held-out rows the split's name.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, domain: str = "base", size: int = 1024, image_size: int = 64, seed: int = 0) -> None:
        if domain not in DOMAINS:
            raise ValueError(f"Expected `domain` to be one of {sorted(DOMAINS)}, but got {domain!r}.")
        if size < 1:
            raise ValueError(f"Expected `size` to be at least 1 row, but got {size}.")
        if image_size < 32 or image_size % 4:
            raise ValueError(f"Expected `image_size` to be a multiple of 4 of at least 32, but got {image_size}.")
        self.name, self.domain, self.size, self.image_size, self.seed = domain, DOMAINS[domain], size, image_size, seed

    def __len__(self) -> int:
        """Number of rows."""
        return self.size

    def __getitem__(self, index: int) -> Record:
        """Draw up row ``index``."""
        if not 0 <= index < self.size:
            raise IndexError(f"Expected a row below {self.size}, but got {index}.")
        rng = np.random.default_rng([zlib.crc32(type(self).__name__.encode()), self.seed, index])
        return self.record(rng, f"{type(self).__name__}({self.name}, seed {self.seed}) row {index}")

    @property
    def procedural(self) -> bool:
        """Rows are made on the spot."""
        return True

    def with_seed(self, seed: int) -> Self:
        """Return the same scenes with another stream of randomness."""
        other = copy(self)
        other.seed = seed
        return other

    @abstractmethod
    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one row."""

    def kind_and_colour(self, rng: np.random.Generator, colours: tuple[str, ...]) -> tuple[str, str]:
        """Draw a shape and a colour that the domain allows together."""
        pairs = [(kind, colour) for kind in self.domain.kinds for colour in colours if self.allows(kind, colour)]
        kind, colour = pairs[rng.integers(len(pairs))]
        return kind, colour

    def allows(self, kind: str, colour: str) -> bool:
        """Whether the domain has this shape in this colour."""
        held_out = (kind, colour) in HELD_OUT_PAIRS
        return self.domain.pairs == "any" or held_out == (self.domain.pairs == "held_out")

    def image(self, rng: np.random.Generator, shapes: list[Shape]) -> SceneImage:
        """Put shapes on a background of the domain."""
        background = self.domain.backgrounds[rng.integers(len(self.domain.backgrounds))]
        seed = int(rng.integers(2**32))
        return SceneImage(tuple(shapes), self.image_size, background, seed, self.domain.colour_jitter, self.domain.fade)


class CountingScenes(Scenes):
    """Shapes in the cells of a 4 x 4 grid: "How many red objects are there?".

    The chain of thought counts the rows of the grid, from top to bottom.
    """

    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one counting question."""
        present = [c for c in self.domain.colours if any(self.allows(k, c) for k in self.domain.kinds)]
        asked = present[rng.integers(len(present))]
        others = tuple(c for c in present if c != asked)
        count = int(rng.integers(self.domain.counts[0], self.domain.counts[1] + 1))
        distractors = int(rng.integers(self.domain.distractors[0], self.domain.distractors[1] + 1))
        cells = rng.permutation(16)[: count + distractors]
        shapes, rows = [], [0, 0, 0, 0]
        for i, cell in enumerate(cells):
            kind, colour = self.kind_and_colour(rng, (asked,) if i < count else others)
            shapes.append(Shape(kind, colour, self._box_in_cell(rng, int(cell))))
            rows[cell // 4] += i < count
        cot = " ".join(str(n) for n in rows)
        return Record(owner, (self.image(rng, shapes),), f"How many {asked} objects are there?", count, cot)

    def _box_in_cell(self, rng: np.random.Generator, cell: int) -> tuple[int, int, int, int]:
        side = self.image_size // 4
        width = int(rng.integers(side * 5 // 8, side * 7 // 8 + 1))
        left = (cell % 4) * side + int(rng.integers(side - width + 1))
        top = (cell // 4) * side + int(rng.integers(side - width + 1))
        return left, top, left + width, top + width


class GroundingScenes(Scenes):
    """One or two shapes anywhere in the picture: "Locate the red circle.".

    The chain of thought names the cell of a 4 x 4 grid that holds the centre, row first, counted from 1.

    Args:
        domain: A key of `DOMAINS`.
        size: Number of rows.
        image_size: Side of the picture in pixels, a multiple of 4 that is at least 32.
        seed: Seed of the stream. Set by the task.
        max_objects: Most shapes in a picture.
    """

    def __init__(
        self, domain: str = "base", size: int = 1024, image_size: int = 64, seed: int = 0, max_objects: int = 2
    ) -> None:
        super().__init__(domain, size, image_size, seed)
        if not 1 <= max_objects <= 4:
            raise ValueError(f"Expected `max_objects` to be between 1 and 4, but got {max_objects}.")
        self.max_objects = max_objects

    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one grounding question."""
        shapes: list[Shape] = []
        wanted = int(rng.integers(1, self.max_objects + 1))
        for _ in range(50):
            kind, colour = self.kind_and_colour(rng, self.domain.colours)
            box = self._free_box(rng)
            if not any(overlaps(box, s.box) or (kind, colour) == (s.kind, s.colour) for s in shapes):
                shapes.append(Shape(kind, colour, box))
            if len(shapes) == wanted:
                break
        asked = shapes[0]
        centre_x, centre_y = (asked.box[0] + asked.box[2]) / 2, (asked.box[1] + asked.box[3]) / 2
        row, column = int(centre_y * 4 / self.image_size) + 1, int(centre_x * 4 / self.image_size) + 1
        problem = f"Locate the {asked.colour} {asked.kind}."
        return Record(owner, (self.image(rng, shapes),), problem, list(asked.box), f"row {row} column {column}")

    def _free_box(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        width, height = (int(rng.integers(self.image_size * 3 // 16, self.image_size // 2 + 1)) for _ in range(2))
        left = int(rng.integers(self.image_size - width + 1))
        top = int(rng.integers(self.image_size - height + 1))
        return left, top, left + width, top + height


def overlaps(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    """Whether two boxes share a pixel."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

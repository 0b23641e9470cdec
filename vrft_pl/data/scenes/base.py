"""What procedural scenes look like, and how their rows are made."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from vrft_pl.data.scenes.picture import COLOURS, SceneImage, Shape
from vrft_pl.data.sources.base import Record, Source


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
    objects: tuple[int, int] = (1, 4)
    """Fewest and most objects (detection, spatial)."""
    figures: tuple[str, ...] = ("rectangle", "triangle")
    """Figures that occur (structure)."""
    sides: tuple[int, int] = (2, 5)
    """Shortest and longest side in cells (structure)."""


HELD_OUT_PAIRS = frozenset({("triangle", "red"), ("circle", "blue"), ("square", "yellow")})
"""Pairs of shape and colour that never occur in training scenes."""

DOMAINS = {
    "base": Domain(),
    "pairs": Domain(pairs="held_out"),
    "crowded": Domain(counts=(5, 9), distractors=(2, 6), objects=(5, 6), sides=(5, 7)),
    "noise": Domain(backgrounds=((170, 255),), pairs="any"),
    "shapes": Domain(kinds=("diamond", "cross"), pairs="any", figures=("step",)),
    "night": Domain(
        kinds=("star", "cross"),
        backgrounds=((0, 60),),
        pairs="any",
        colour_jitter=40,
        fade=0.4,
        figures=("step",),
    ),
    "snow": Domain(
        kinds=("diamond", "cross"),
        backgrounds=((170, 255),),
        pairs="any",
        colour_jitter=40,
        fade=0.58,
        figures=("step",),
    ),
}
"""``base`` is what the embedded policy was trained on; every other one is a shift away from it."""


class Scenes(Source):
    """Scenes of one domain. Row ``i`` depends on the seed and on ``i`` alone.

    Args:
        domain: A key of `DOMAINS`.
        size: Number of rows.
        image_size: Side of the picture in pixels, a multiple of 4 from 32 to 4096.
        seed: Seed of the stream. Set by the task: training rows follow the run's seed, held-out rows the split's name.

    Raises:
        ValueError: If an argument is out of its range.
    """

    held_out_pairs = HELD_OUT_PAIRS
    """Pairs of shape and colour that never occur in training scenes."""

    def __init__(self, domain: str = "base", size: int = 1024, image_size: int = 64, seed: int = 0) -> None:
        if domain not in DOMAINS:
            raise ValueError(f"Expected `domain` to be one of {sorted(DOMAINS)}, but got {domain!r}.")
        if size < 1:
            raise ValueError(f"Expected `size` to be at least 1 row, but got {size}.")
        if image_size < 32 or image_size % 4:
            raise ValueError(f"Expected `image_size` to be a multiple of 4 of at least 32, but got {image_size}.")
        if image_size > 4096:
            raise ValueError(f"Expected `image_size` to be at most 4096 pixels, but got {image_size}.")
        self.name, self.domain, self.size, self.image_size, self.seed = domain, DOMAINS[domain], size, image_size, seed

    def made_with(self) -> dict[str, Any]:
        """Arguments that are not kept under their names."""
        return {"domain": self.name}

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
        held_out = (kind, colour) in self.held_out_pairs
        return self.domain.pairs == "any" or held_out == (self.domain.pairs == "held_out")

    def image(self, rng: np.random.Generator, shapes: list[Shape]) -> SceneImage:
        """Put shapes on a background of the domain."""
        background, seed = self.surface(rng)
        return SceneImage(tuple(shapes), self.image_size, background, seed, self.domain.colour_jitter, self.domain.fade)

    def surface(self, rng: np.random.Generator) -> tuple[tuple[int, int], int]:
        """Draw the greys of a background of the domain, and the seed of its noise."""
        background = self.domain.backgrounds[rng.integers(len(self.domain.backgrounds))]
        return background, int(rng.integers(2**32))

"""Pictures of coloured shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

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
        image = grey_noise(rng, self.background, self.size)
        draw = ImageDraw.Draw(image)
        for shape in self.shapes:
            draw_shape(draw, shape, worn(rng, shape.colour, self.background, self.colour_jitter, self.fade))
        return image


def grey_noise(rng: np.random.Generator, background: tuple[int, int], size: int) -> Image.Image:
    """Draw an empty square picture of noise between two greys."""
    low, high = background
    grey = rng.integers(low, high + 1, (size, size, 1), dtype=np.uint8)
    return Image.fromarray(np.repeat(grey, 3, axis=2))


def worn(
    rng: np.random.Generator, colour: str, background: tuple[int, int], jitter: int, fade: float
) -> tuple[int, ...]:
    """Change the channels of a colour by up to ``jitter`` and mix them with a share ``fade`` of the background."""
    jitters = rng.integers(-jitter, jitter + 1, 3)
    mixed = (1 - fade) * (np.array(COLOURS[colour]) + jitters) + fade * sum(background) / 2
    return tuple(int(c) for c in np.clip(mixed, 0, 255))


def draw_shape(draw: ImageDraw.ImageDraw, shape: Shape, fill: tuple[int, ...]) -> None:
    """Draw a shape so that it touches all four edges of its box."""
    left, top, right, bottom = shape.box
    corners = OUTLINES[shape.kind]
    if corners is None:
        draw.ellipse((left, top, right - 1, bottom - 1), fill=fill)
    else:
        width, height = right - left - 1, bottom - top - 1
        draw.polygon([(left + round(x * width), top + round(y * height)) for x, y in corners], fill=fill)


def overlaps(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    """Whether two boxes share a pixel."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

"""Scenes that ask for a measure of a figure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vrft_pl.data.scenes.base import Scenes
from vrft_pl.data.scenes.picture import grey_noise, worn
from vrft_pl.data.sources.base import Record

CELLS = 8
"""Cells along each side of the grid."""
LETTERS = "ABCD"
NAMES = {"rectangle": "rectangle", "triangle": "right triangle", "step": "figure"}
QUANTITIES = {
    "rectangle": ("area", "perimeter"),
    "triangle": ("area", "longest side"),
    "step": ("area", "perimeter"),
}
"""What is asked of each figure."""


@dataclass(frozen=True)
class Figure:
    """A rectangle, half of one along its diagonal, or one without a corner."""

    kind: str
    """A key of `NAMES`."""
    width: int
    """Cells."""
    height: int
    """Cells."""
    cut: tuple[int, int] = (0, 0)
    """Width and height of the corner that a step lacks, in cells."""

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """Corners in cells, from the left and from the top."""
        width, height, (cut_x, cut_y) = self.width, self.height, self.cut
        match self.kind:
            case "triangle":
                return (0, 0), (width, height), (0, height)
            case "step":
                return (0, 0), (width - cut_x, 0), (width - cut_x, cut_y), (width, cut_y), (width, height), (0, height)
            case _:
                return (0, 0), (width, 0), (width, height), (0, height)

    def measure(self, quantity: str) -> float:
        """Area in cells, perimeter in sides of a cell, or the square of the longest side."""
        match quantity:
            case "area":
                whole = self.width * self.height - self.cut[0] * self.cut[1]
                return whole / 2 if self.kind == "triangle" else whole
            case "perimeter":
                return 2 * (self.width + self.height)
            case _:
                return self.width**2 + self.height**2


@dataclass(frozen=True)
class FigureImage:
    """A figure under a grid, drawn when it is opened."""

    corners: tuple[tuple[int, int], ...]
    """Corners of the figure in cells of the picture."""
    colour: str
    """A key of `COLOURS`."""
    size: int
    """Side of the square picture in pixels."""
    background: tuple[int, int]
    """Darkest and lightest grey of the background."""
    noise_seed: int
    """Seed of the background's noise and of the jitter of the colour."""
    colour_jitter: int = 0
    """Largest change of a colour channel."""
    fade: float = 0.0
    """Share of the background in the colour of the figure."""

    def open(self) -> Image.Image:
        """Draw the picture."""
        rng = np.random.default_rng(self.noise_seed)
        image = grey_noise(rng, self.background, self.size)
        draw, cell = ImageDraw.Draw(image), self.size // CELLS
        fill = worn(rng, self.colour, self.background, self.colour_jitter, self.fade)
        draw.polygon([(x * cell, y * cell) for x, y in self.corners], fill=fill)
        line = (200,) * 3 if sum(self.background) < 128 else (0,) * 3
        for place in range(cell, self.size, cell):
            draw.line((place, 0, place, self.size), fill=line)
            draw.line((0, place, self.size, place), fill=line)
        return image


class StructureScenes(Scenes):
    r"""A figure on a grid of 1 cm: "What is the area of the red rectangle?".

    Half of the questions have four options, which stand in the question, and a letter as the answer; the others have a
    number with its unit, such as ``12 cm^2``, or an expression, such as ``\sqrt{13} cm``. The chain of thought names
    width, height and what was asked for.

    Args:
        domain: A key of `DOMAINS`.
        size: Number of rows.
        image_size: Side of the picture in pixels, a multiple of 8 that is at least 32.
        seed: Seed of the stream. Set by the task.
    """

    held_out_pairs = frozenset({("rectangle", "yellow"), ("triangle", "red")})

    def __init__(self, domain: str = "base", size: int = 1024, image_size: int = 64, seed: int = 0) -> None:
        super().__init__(domain, size, image_size, seed)
        if image_size % CELLS:
            raise ValueError(f"Expected `image_size` to be a multiple of {CELLS}, but got {image_size}.")

    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one question about a figure."""
        pairs = [(f, c) for f in self.domain.figures for c in self.domain.colours if self.allows(f, c)]
        kind, colour = pairs[rng.integers(len(pairs))]
        width, height = (int(v) for v in rng.integers(self.domain.sides[0], self.domain.sides[1] + 1, 2))
        cut = (int(rng.integers(1, width)), int(rng.integers(1, height))) if kind == "step" else (0, 0)
        figure = Figure(kind, width, height, cut)
        quantity = QUANTITIES[kind][rng.integers(2)]
        value = figure.measure(quantity)
        answer = written(value, quantity)
        problem = f"A cell is 1 cm wide. What is the {quantity} of the {colour} {NAMES[kind]}?"
        cot = f"width {width} height {height}" + (f" without {cut[0]} by {cut[1]}" if kind == "step" else "")
        cot = f"{cot} {quantity} {answer}"
        options: tuple[str, ...] = ()
        if rng.random() < 0.5:
            values = [value, *rng.choice([value + d for d in (-3, -2, -1, 1, 2, 3) if value + d > 0], 3, replace=False)]
            order = rng.permutation(len(LETTERS))
            options = tuple(written(float(values[i]), quantity) for i in order)
            answer = LETTERS[order.tolist().index(0)]
            problem = "\n".join(
                [problem, *(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=True))]
            )
        return Record(owner, (self._picture(rng, figure, colour),), problem, answer, cot, options)

    def classes(self, index: int) -> tuple[str, ...]:
        """What is asked of which figure, such as ``area of the red rectangle``."""
        return (self[index].problem.split("What is the ")[1].split("?")[0],)

    def _picture(self, rng: np.random.Generator, figure: Figure, colour: str) -> FigureImage:
        """Put a figure somewhere on the grid, turned over or not."""
        left, top = int(rng.integers(CELLS - figure.width + 1)), int(rng.integers(CELLS - figure.height + 1))
        over_x, over_y = (bool(v) for v in rng.integers(2, size=2))
        corners = tuple(
            (left + (figure.width - x if over_x else x), top + (figure.height - y if over_y else y))
            for x, y in figure.corners
        )
        background, seed = self.surface(rng)
        return FigureImage(
            corners, colour, self.image_size, background, seed, self.domain.colour_jitter, self.domain.fade
        )


def written(value: float, quantity: str) -> str:
    r"""Write a measure with its unit.

    Example:
        >>> written(7.5, "area"), written(25, "longest side"), written(13, "longest side")
        ('7.5 cm^2', '5 cm', '\\sqrt{13} cm')
    """
    if quantity == "longest side":
        root = math.isqrt(int(value))
        return f"{root} cm" if root * root == value else f"\\sqrt{{{int(value)}}} cm"
    return f"{value:g} cm^2" if quantity == "area" else f"{value:g} cm"

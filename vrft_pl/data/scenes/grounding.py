"""Scenes that ask for the box of one shape."""

from __future__ import annotations

import numpy as np

from vrft_pl.answers import Box
from vrft_pl.data.scenes.base import Scenes
from vrft_pl.data.scenes.picture import Shape, overlaps
from vrft_pl.data.sources.base import Record


class GroundingScenes(Scenes):
    """One or two shapes anywhere in the picture: "Locate the red circle.".

    The chain of thought names the cell of a 4 x 4 grid that holds the centre, row first, counted from 1.

    Args:
        domain: A key of `DOMAINS`.
        size: Number of rows.
        image_size: Side of the picture in pixels, a multiple of 4 that is at least 32.
        seed: Seed of the stream. Set by the task.
        max_objects: Most shapes in a picture.
        negatives: Share of rows that ask for a shape which is not there; for a task that allows for that.
    """

    def __init__(
        self,
        domain: str = "base",
        size: int = 1024,
        image_size: int = 64,
        seed: int = 0,
        max_objects: int = 2,
        negatives: float = 0.0,
    ) -> None:
        super().__init__(domain, size, image_size, seed)
        if not 1 <= max_objects <= 4:
            raise ValueError(f"Expected `max_objects` to be between 1 and 4, but got {max_objects}.")
        if not 0 <= negatives <= 1:
            raise ValueError(f"Expected `negatives` to be a share between 0 and 1, but got {negatives}.")
        self.max_objects, self.negatives = max_objects, negatives

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
        if self.negatives and rng.random() < self.negatives:
            return self._negative(rng, owner, shapes)
        asked = shapes[0]
        centre_x, centre_y = (asked.box[0] + asked.box[2]) / 2, (asked.box[1] + asked.box[3]) / 2
        row, column = int(centre_y * 4 / self.image_size) + 1, int(centre_x * 4 / self.image_size) + 1
        problem = f"Locate the {asked.colour} {asked.kind}."
        return Record(owner, (self.image(rng, shapes),), problem, Box(asked.box), f"row {row} column {column}")

    def _negative(self, rng: np.random.Generator, owner: str, shapes: list[Shape]) -> Record:
        """Ask for a shape that is not there."""
        seen = {(shape.kind, shape.colour) for shape in shapes}
        kind, colour = self.kind_and_colour(rng, self.domain.colours)
        while (kind, colour) in seen:
            kind, colour = self.kind_and_colour(rng, self.domain.colours)
        answer = Box(None, optional=True)
        return Record(owner, (self.image(rng, shapes),), f"Locate the {colour} {kind}.", answer, "none")

    def classes(self, index: int) -> tuple[str, ...]:
        """The asked shape, such as ``red circle``."""
        return (self[index].problem.removeprefix("Locate the ").removesuffix("."),)

    def _free_box(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        width, height = (int(rng.integers(self.image_size * 3 // 16, self.image_size // 2 + 1)) for _ in range(2))
        left = int(rng.integers(self.image_size - width + 1))
        top = int(rng.integers(self.image_size - height + 1))
        return left, top, left + width, top + height

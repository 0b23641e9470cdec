"""Scenes that ask for a class."""

from __future__ import annotations

import numpy as np

from vrft_pl.data.scenes.base import Scenes
from vrft_pl.data.scenes.picture import OUTLINES, Shape
from vrft_pl.data.sources.base import Record


class ClassificationScenes(Scenes):
    """One shape anywhere in the picture: "Which shape is in the picture?".

    The chain of thought names the colour and the number of corners. A picture of the ``crowded`` domain holds one shape
    too.
    """

    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one classification question."""
        kind, colour = self.kind_and_colour(rng, self.domain.colours)
        side = int(rng.integers(self.image_size * 3 // 8, self.image_size * 7 // 8 + 1))
        left, top = (int(v) for v in rng.integers(self.image_size - side + 1, size=2))
        shape = Shape(kind, colour, (left, top, left + side, top + side))
        cot = f"{colour} with {len(OUTLINES[kind] or ())} corners"
        return Record(owner, (self.image(rng, [shape]),), "Which shape is in the picture?", kind, cot)

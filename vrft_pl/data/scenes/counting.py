"""Scenes that ask for a count."""

from __future__ import annotations

import numpy as np

from vrft_pl.data.scenes.base import Scenes
from vrft_pl.data.scenes.picture import Shape
from vrft_pl.data.sources.base import Record


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

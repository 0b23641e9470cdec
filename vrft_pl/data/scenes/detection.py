"""Scenes that ask for all shapes of a colour."""

from __future__ import annotations

import numpy as np

from vrft_pl.answers import Instance, Instances
from vrft_pl.data.scenes.base import Scenes
from vrft_pl.data.scenes.picture import Shape, overlaps
from vrft_pl.data.sources.base import Record


class DetectionScenes(Scenes):
    """Shapes apart from each other, some of the asked colour: "Detect all red objects.".

    The colour is the category. The chain of thought names the cell of a 4 x 4 grid that holds the centre of each, row
    first, counted from 1; boxes are in that order too.

    Args:
        domain: A key of `DOMAINS`.
        size: Number of rows.
        image_size: Side of the picture in pixels, a multiple of 4 that is at least 32.
        seed: Seed of the stream. Set by the task.
        negatives: Share of rows in which nothing has the asked colour.
        max_objects: Most shapes in a picture, of all colours; that of the domain counts where it is less.
    """

    def __init__(
        self,
        domain: str = "base",
        size: int = 1024,
        image_size: int = 64,
        seed: int = 0,
        negatives: float = 0.2,
        max_objects: int = 6,
    ) -> None:
        super().__init__(domain, size, image_size, seed)
        if not 0 <= negatives <= 1:
            raise ValueError(f"Expected `negatives` to be a share between 0 and 1, but got {negatives}.")
        if not 1 <= max_objects <= 6:
            raise ValueError(f"Expected `max_objects` to be between 1 and 6, but got {max_objects}.")
        self.negatives, self.max_objects = negatives, max_objects

    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one detection question."""
        present = [c for c in self.domain.colours if any(self.allows(k, c) for k in self.domain.kinds)]
        asked = present[rng.integers(len(present))]
        others = tuple(c for c in present if c != asked)
        most = min(self.domain.objects[1], self.max_objects)
        total = int(rng.integers(min(self.domain.objects[0], most), most + 1))
        count = 0 if rng.random() < self.negatives else int(rng.integers(1, total + 1))
        shapes: list[Shape] = []
        for box in self._free_boxes(rng, total):
            kind, colour = self.kind_and_colour(rng, (asked,) if len(shapes) < count else others)
            shapes.append(Shape(kind, colour, box))
        found = sorted((cell_of(s.box, self.image_size), s.box) for s in shapes if s.colour == asked)
        items = tuple(Instance(tuple(map(float, box)), asked) for _, box in found)  # type: ignore[arg-type]  # of four
        cot = ", ".join(f"row {row} column {column}" for (row, column), _ in found) or "none"
        answer = Instances(items, (asked,), owner)
        return Record(owner, (self.image(rng, shapes),), f"Detect all {asked} objects.", answer, cot)

    def classes(self, index: int) -> tuple[str, ...]:
        """The asked colour; none where nothing has it."""
        answer: Instances = self[index].answer
        return answer.categories if answer.items else ()

    def _free_boxes(self, rng: np.random.Generator, count: int) -> list[tuple[int, int, int, int]]:
        """Draw boxes that share no pixel; fewer, but at least one, where there is no room left."""
        boxes: list[tuple[int, int, int, int]] = []
        for _ in range(50):
            width, height = (int(v) for v in rng.integers(self.image_size * 3 // 16, self.image_size * 3 // 8 + 1, 2))
            left, top = int(rng.integers(self.image_size - width + 1)), int(rng.integers(self.image_size - height + 1))
            box = left, top, left + width, top + height
            if not any(overlaps(box, other) for other in boxes):
                boxes.append(box)
            if len(boxes) == count:
                break
        return boxes


def cell_of(box: tuple[int, int, int, int], image_size: int) -> tuple[int, int]:
    """Row and column, from 1, of the cell of a 4 x 4 grid that holds the centre of a box."""
    return (box[1] + box[3]) * 2 // image_size + 1, (box[0] + box[2]) * 2 // image_size + 1

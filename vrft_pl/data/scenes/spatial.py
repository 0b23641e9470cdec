"""Scenes that ask what changed between two pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vrft_pl.data.scenes.base import Scenes
from vrft_pl.data.scenes.picture import Shape
from vrft_pl.data.sources.base import Record

GRID = 4
SIZES = ("small", "large")
WAYS = ("size", "color", "shape", "position")
STEPS = {"left": (0, -1), "right": (0, 1), "front": (1, 0), "behind": (-1, 0)}
"""Rows and columns of a step in each direction; the front is the lower edge of the picture."""


@dataclass(frozen=True)
class Thing:
    """One object of a scene."""

    shape: str
    """A key of `OUTLINES`."""
    size: str
    """One of `SIZES`."""
    color: str
    """A key of `COLOURS`."""
    cell: tuple[int, int]
    """Row and column of the grid, from 0."""

    def difference(self, other: Thing) -> str:
        """Say what differs, rows and columns counted from 1: ``red to blue, row 1 to 2``."""
        words = [f"{a} to {b}" for a, b in zip(self._words(), other._words(), strict=True) if a != b]
        places = [
            f"{line} {a + 1} to {b + 1}"
            for line, a, b in zip(("row", "column"), self.cell, other.cell, strict=True)
            if a != b
        ]
        return ", ".join([*words, *places])

    def _words(self) -> tuple[str, str, str]:
        return self.size, self.color, self.shape


class SpatialScenes(Scenes):
    """Two pictures of a few shapes in the cells of a 4 x 4 grid, the second one after 1 to 4 changes (TRANCE).

    The question lists the objects of the first picture, row by row, with shape, size and colour, in which no two agree.
    The answer is calls ``change_size|change_color|change_shape|change_position(object, value)``; a change of position
    is one cell to the ``left``, ``right``, ``front`` (down) or ``behind`` (up). The order of the calls means nothing.
    The chain of thought says of each object that changed what it was and what it is.

    Args:
        domain: A key of `DOMAINS`. What changes stays in it too, but for held-out pairs, from which no single change
            leads to another.
        size: Number of rows.
        image_size: Side of the picture in pixels, a multiple of 4 that is at least 32.
        seed: Seed of the stream. Set by the task.
        max_calls: Most changes, from 1 to 4.
    """

    def __init__(
        self, domain: str = "base", size: int = 1024, image_size: int = 64, seed: int = 0, max_calls: int = 4
    ) -> None:
        super().__init__(domain, size, image_size, seed)
        if not 1 <= max_calls <= 4:
            raise ValueError(f"Expected `max_calls` to be between 1 and 4, but got {max_calls}.")
        self.max_calls = max_calls

    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one question about two pictures."""
        first = self._things(rng)
        last, calls = self._changed(rng, first, int(rng.integers(1, self.max_calls + 1)))
        before = self.image(rng, self._shapes(first))
        after = replace(before, shapes=tuple(self._shapes(last)))
        listed = ", ".join(f"('{i}', '{t.shape}', '{t.size}', '{t.color}')" for i, t in enumerate(first))
        problem = f"Objects of the first picture: {listed}. What changed in the second picture?"
        cot = "; ".join(f"{i} {a.difference(b)}" for i, (a, b) in enumerate(zip(first, last, strict=True)) if a != b)
        return Record(owner, (before, after), problem, ", ".join(calls), cot)

    def classes(self, index: int) -> tuple[str, ...]:
        """The functions that are called."""
        return tuple(sorted({call.split("(")[0] for call in self[index].answer.split("), ")}))

    def _things(self, rng: np.random.Generator) -> list[Thing]:
        """Draw objects that differ in shape, size or colour, in the order of their cells."""
        looks = [
            (kind, size, colour)
            for kind in self.domain.kinds
            for size in SIZES
            for colour in self.domain.colours
            if self.allows(kind, colour)
        ]
        count = int(rng.integers(self.domain.objects[0], self.domain.objects[1] + 1))
        cells = sorted(rng.permutation(GRID * GRID)[:count].tolist())
        drawn = [looks[i] for i in rng.permutation(len(looks))[:count]]
        return [
            Thing(kind, size, colour, divmod(c, GRID)) for (kind, size, colour), c in zip(drawn, cells, strict=True)
        ]

    def _changed(self, rng: np.random.Generator, first: list[Thing], count: int) -> tuple[list[Thing], list[str]]:
        """Change objects, each in one way at most once; fewer times than asked for where nothing else can change."""
        last, calls = list(first), []
        for k in rng.permutation(len(first) * len(WAYS)).tolist():
            i, way = divmod(k, len(WAYS))
            taken = {thing.cell for thing in (*first, *last)}
            if changes := self._changes(last[i], WAYS[way], taken):
                value, last[i] = changes[rng.integers(len(changes))]
                calls.append((i, way, f"change_{WAYS[way]}({i}, {value})"))
            if len(calls) == count:
                break
        return last, [call for _, _, call in sorted(calls)]

    def _changes(self, thing: Thing, name: str, taken: set[tuple[int, int]]) -> list[tuple[str, Thing]]:
        """List what an object can become by one call, by the value of the call."""
        match name:
            case "size":
                return [(size, replace(thing, size=size)) for size in SIZES if size != thing.size]
            case "color":
                others = [(c, replace(thing, color=c)) for c in self.domain.colours if c != thing.color]
            case "shape":
                others = [(k, replace(thing, shape=k)) for k in self.domain.kinds if k != thing.shape]
            case _:
                cells = [(step, (thing.cell[0] + y, thing.cell[1] + x)) for step, (y, x) in STEPS.items()]
                free = [(step, cell) for step, cell in cells if min(cell) >= 0 and max(cell) < GRID]
                return [(step, replace(thing, cell=cell)) for step, cell in free if cell not in taken]
        anything = self.domain.pairs == "held_out"
        return [(value, other) for value, other in others if anything or self.allows(other.shape, other.color)]

    def _shapes(self, things: list[Thing]) -> list[Shape]:
        side = self.image_size // GRID
        shapes = []
        for thing in things:
            width = side * (7 if thing.size == "large" else 4) // 8
            top, left = (place * side + (side - width) // 2 for place in thing.cell)
            shapes.append(Shape(thing.shape, thing.color, (left, top, left + width, top + width)))
        return shapes

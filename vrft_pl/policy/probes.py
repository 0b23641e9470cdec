"""Questions that are always the same, for comparisons of a model with itself."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageOps

from vrft_pl.answers import Number
from vrft_pl.types import Sample

CODE_ERRORS = ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
"""What the code of a model or processor raises that is given what it does not understand."""


@dataclass(frozen=True)
class Shade:
    """A picture from dark to light: from top to bottom where it is wide, from its middle where it is high."""

    width: int
    height: int
    inverted: bool = False
    """From light to dark instead."""

    def open(self) -> Image.Image:
        """Return the picture as upright RGB."""
        grey = Image.linear_gradient("L") if self.width > self.height else Image.radial_gradient("L")
        grey = grey.resize((self.width, self.height))
        return (ImageOps.invert(grey) if self.inverted else grey).convert("RGB")


def ask(*pictures: Shade, question: str = "?") -> Sample:
    """A question about pictures."""
    return Sample("probe", pictures, question, Number(0.0), "answer")


WIDE, HIGH = Shade(96, 64), Shade(64, 128)
PICTURED = ask(WIDE), ask(HIGH, question="What?")
"""One picture each, of different sizes, and texts of different lengths."""
OTHERS = ask(HIGH, WIDE, question="Which of the two?"), ask(question="How many?")
"""Several pictures, and none: not every model takes both."""
SHAPES = tuple(ask(Shade(*size)) for size in ((48, 48), (64, 32), (32, 80), (900, 300)))
"""Pictures of which one may be cut into another number of tiles than `PICTURED` are."""
SEEN_OTHERWISE = ask(Shade(WIDE.width, WIDE.height, inverted=True))
"""The first of `PICTURED` with another picture of that size."""
GREY = ask(Shade(64, 64))
"""What goes along where a picture is needed for company."""

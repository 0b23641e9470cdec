"""Between the coordinates a policy writes and xyxy pixels of the original image."""

from __future__ import annotations

from typing import Literal

from vrft_pl.answers import Y_FIRST, AnswerFrame
from vrft_pl.types import InputError

CoordinateSpace = Literal[
    "permille", "permille_y_first", "bins_1024_y_first", "bins_32", "percent", "resized_pixels", "pixels", "unit"
]
"""``permille``: 0-1000 of the image (Qwen2-VL, Qwen3-VL, InternVL, Florence-2); ``permille_y_first``: likewise, but y1,
x1, y2, x2 (``box_2d`` of Gemini and Gemma); ``bins_1024_y_first``: 0-1024, y first (PaliGemma); ``bins_32``: 0-32
(Kosmos-2); ``percent``: 0-100 (Molmo); ``resized_pixels``: after the processor's resize (Qwen2.5-VL); ``pixels``: of
the original image; ``unit``: 0-1 of the image."""

DESCRIPTIONS: dict[CoordinateSpace, str] = {
    "permille": "thousandths of the image",
    "permille_y_first": f"thousandths of the image, {Y_FIRST}",
    "bins_1024_y_first": f"1024ths of the image, {Y_FIRST}",
    "bins_32": "32nds of the image",
    "percent": "per cent of the image",
    "resized_pixels": "pixels",
    "pixels": "pixels",
    "unit": "fractions of the image",
}
"""How the question names the space."""
_UNITS: dict[CoordinateSpace, float] = {
    "permille": 1000, "permille_y_first": 1000, "bins_1024_y_first": 1024, "bins_32": 32, "percent": 100, "unit": 1
}  # fmt: skip
_DECIMALS: dict[CoordinateSpace, int] = {"unit": 3, "percent": 1, "bins_32": 1}


def answer_frame(space: CoordinateSpace, original: tuple[int, int], resized: tuple[int, int] | None) -> AnswerFrame:
    """Say how coordinates of one picture convert.

    Args:
        space: What the policy writes.
        original: Width and height of the picture in pixels.
        resized: Width and height after the processor's resize in pixels; needed for ``resized_pixels``.

    Raises:
        InputError: If ``resized_pixels`` is asked for and the resized size is not known.

    Example:
        >>> answer_frame("permille", (640, 480), None).to_pixels((0, 0, 500, 1000))
        (0.0, 0.0, 320.0, 480.0)
    """
    width, height = original
    match space:
        case "resized_pixels":
            if resized is None:
                raise InputError(
                    "`coordinates: resized_pixels` needs a processor that reports the size of its patches."
                )
            units = (float(resized[0]), float(resized[1]))
        case "pixels":
            units = (float(width), float(height))
        case _:
            units = (_UNITS[space], _UNITS[space])
    scales, y_first = (width / units[0], height / units[1]), DESCRIPTIONS[space].endswith(Y_FIRST)
    return AnswerFrame(width, height, *scales, decimals=_DECIMALS.get(space, 0), y_first=y_first)

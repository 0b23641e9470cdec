"""Boxes and outlines as a page draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FARTHEST = 1e6
"""Pixels from the edge of a picture; a browser can't draw what lies much further."""


def marks_of(boxes: Any) -> list[dict[str, Any]]:
    """Bring the marks of a record into one form; what is none is left out.

    Args:
        boxes: Boxes, ``{"box", "confidence", "category"}``, or ``{"shape", "label", "faint"}`` with a box or a polygon.

    Returns:
        A dict for each: ``points``, a box of four numbers or a polygon of six and more; ``label``; ``faint``.

    Example:
        >>> marks_of([[1, 2, 3, 4]])
        [{'points': [1.0, 2.0, 3.0, 4.0], 'label': '', 'faint': False}]
    """
    found = (mark_of(box) for box in boxes) if isinstance(boxes, list | tuple) else ()
    return [mark for mark in found if mark]


def mark_of(box: Any) -> dict[str, Any] | None:
    """One mark, or ``None``."""
    told = box if isinstance(box, Mapping) else {"shape": box}
    points = flat(told.get("shape", told.get("box")))
    if points is None:
        return None
    label = told.get("label")
    if label is None:
        parts = told.get("category"), told.get("confidence")
        label = " ".join(f"{part:.2f}" if isinstance(part, float) else str(part) for part in parts if part is not None)
    return {"points": points, "label": str(label), "faint": bool(told.get("faint"))}


def flat(shape: Any) -> list[float] | None:
    """Coordinates one after the other: four of a box, or six and more of a polygon."""
    if not isinstance(shape, list | tuple):
        return None
    numbers = [n for part in shape for n in (part if isinstance(part, list | tuple) else (part,))]
    if not all(isinstance(n, int | float) and abs(n) <= FARTHEST for n in numbers):
        return None
    return [round(float(n), 1) for n in numbers] if len(numbers) >= 4 and len(numbers) % 2 == 0 else None

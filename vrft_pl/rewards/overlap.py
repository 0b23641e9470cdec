"""What boxes have in common: two of them in plain numbers, many of them in arrays, to the last bit alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def intersection_and_union(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Areas that two xyxy boxes have in common and cover together, in the square of their unit."""
    # comparisons, not `min` and `max`, which take twice the time of all the rest
    left, top, right, bottom = a
    x1, y1, x2, y2 = b
    width = (right if right < x2 else x2) - (left if left > x1 else x1)
    height = (bottom if bottom < y2 else y2) - (top if top > y1 else y1)
    common = width * height if width > 0 and height > 0 else 0.0
    return common, (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - common


def pair_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two xyxy boxes, of which one may have no area.

    Example:
        >>> pair_iou((0, 0, 10, 10), (0, 0, 10, 5))
        0.5
    """
    intersection, union = intersection_and_union(a, b)
    return intersection / union


def pair_giou(a: Sequence[float], b: Sequence[float]) -> float:
    """Generalized IoU of two xyxy boxes, of which one may have no area: in [-1, 1], negative where they are apart.

    IoU less the share of the smallest box around both that neither covers (Rezatofighi et al. 2019,
    https://arxiv.org/abs/1902.09630, algorithm 1).

    Example:
        >>> pair_giou((0, 0, 10, 10), (10, 0, 30, 10)), pair_giou((0, 0, 10, 10), (30, 0, 40, 10))
        (0.0, -0.5)
    """
    intersection, union = intersection_and_union(a, b)
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return intersection / union - max(hull - union, 0.0) / hull


def box_areas(boxes: Floats) -> Floats:
    """Areas of xyxy boxes of shape ``(M, 4)``. Returns shape ``(M,)``."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def intersections(a: Floats, b: Floats) -> Floats:
    """Area that each xyxy box of ``a`` ``(M, 4)`` has in common with each of ``b`` ``(K, 4)``. Returns ``(M, K)``."""
    common = np.ones((len(a), len(b)))
    for low, high in ((0, 2), (1, 3)):
        span = np.minimum(a[:, None, high], b[None, :, high])
        span -= np.maximum(a[:, None, low], b[None, :, low])
        common *= np.maximum(span, 0, out=span)
    return common


def iou_matrix(a: Floats, b: Floats) -> Floats:
    """IoU of each xyxy box of ``a`` ``(M, 4)`` with each of ``b`` ``(K, 4)``, whose areas are not 0.

    Returns:
        Shape ``(M, K)``.
    """
    common = intersections(a, b)
    union = box_areas(a)[:, None] + box_areas(b)[None, :]
    union -= common
    return np.divide(common, union, out=common)

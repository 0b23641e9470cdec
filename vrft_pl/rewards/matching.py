"""Overlap of many boxes with many, and which belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]

_FEW = 32
"""Pairs up to which plain numbers are faster than arrays."""
_TIE = 1e-9
"""What a confidence of 1 adds to an IoU where the matching has to choose between equally good boxes."""


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


def pair_boxes(
    a: Floats, b: Floats, threshold: float, allowed: NDArray[np.bool_] | None = None, preference: Floats | None = None
) -> Floats:
    """Pair xyxy boxes of ``a`` ``(M, 4)`` and ``b`` ``(K, 4)`` one to one: the sum of IoU is the largest possible.

    Args:
        a: Answered boxes.
        b: True boxes, whose areas are not 0.
        threshold: IoU from which two boxes may be a pair.
        allowed: Whether two boxes may be a pair, shape ``(M, K)``; all may by default.
        preference: See `matched_ious`.

    Returns:
        IoU of each answered box with its true box, 0 for one without. Shape ``(M,)``.
    """
    if len(a) * len(b) > _FEW:
        ious = iou_matrix(a, b)
        ious[ious < threshold] = 0
    else:
        others = b.tolist()
        rows = [[iou if iou >= threshold else 0.0 for iou in _ious(box, others)] for box in a.tolist()]
        if allowed is None and _nothing_to_choose(rows):
            return np.array([sum(row) for row in rows])
        ious = np.array(rows).reshape(len(a), len(b))
    if allowed is not None:
        ious[~allowed] = 0
    return matched_ious(ious, preference)


def _nothing_to_choose(rows: list[list[float]]) -> bool:
    """Whether no row and no column holds two numbers above 0."""
    columns = [j for row in rows for j, iou in enumerate(row) if iou]
    return len(set(columns)) == len(columns) == sum(map(any, rows))


def _ious(box: list[float], others: list[list[float]]) -> list[float]:
    """IoU of one box with others, most of which lie apart."""
    x1, y1, x2, y2 = box
    area = (x2 - x1) * (y2 - y1)
    ious = []
    for u1, v1, u2, v2 in others:
        width = (x2 if x2 < u2 else u2) - (x1 if x1 > u1 else u1)
        height = (y2 if y2 < v2 else v2) - (y1 if y1 > v1 else v1)
        common = width * height if width > 0 and height > 0 else 0.0
        ious.append(common / (area + (u2 - u1) * (v2 - v1) - common))
    return ious


def matched_ious(ious: Floats, preference: Floats | None = None) -> Floats:
    """Pair rows and columns one to one so that the sum of IoU is the largest possible.

    Args:
        ious: IoU of each answered with each true box, 0 for pairs that may not be. Shape ``(M, K)``.
        preference: In [0, 1], or NaN, which is less than any; of equally good pairings the one with the greatest sum is
            taken. Shape ``(M,)``.

    Returns:
        IoU of each answered box with its true box, 0 for one without. Shape ``(M,)``.
    """
    found = np.count_nonzero(ious)
    if found == np.count_nonzero(ious.any(axis=0)) == np.count_nonzero(ious.any(axis=1)):
        return np.asarray(ious.sum(axis=1))  # no box overlaps two: nothing to choose
    matched = np.zeros(len(ious))
    values = ious
    if preference is not None:
        values = np.where(ious > 0, ious + _TIE * np.nan_to_num(preference, nan=-1)[:, None], 0)
    # some best pairing uses of each column the rows with its K largest values only
    worst = max(len(ious) - ious.shape[1], 0)
    rows = np.unique(np.argpartition(values, worst, axis=0)[worst:]) if worst else np.arange(len(ious))
    rows = rows[ious[rows].any(axis=1)]
    chosen, columns = linear_sum_assignment(values[rows], maximize=True)
    matched[rows[chosen]] = ious[rows[chosen], columns]
    return matched

"""Which boxes belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vrft_pl.rewards.overlap import Floats, iou_matrix, pair_iou

_FEW = 32
"""Pairs up to which plain numbers are faster than arrays."""
_TIE = 1e-9
"""What a confidence of 1 adds to an IoU where the matching has to choose between equally good boxes."""


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
        rows = [[i if (i := pair_iou(box, other)) >= threshold else 0.0 for other in others] for box in a.tolist()]
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

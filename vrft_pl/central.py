"""What many answers have in common: the commonest of them, and the boxes that lie in their midst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_SCALES = (0.7, 1.4)
"""A box in the midst of others that differ in place overlaps most of them when it is larger, or smaller."""


def commonest(texts: Iterable[str], most: int) -> list[str]:
    """The texts that occur most often, of as many the one that comes first.

    Example:
        >>> commonest(["3", "1", "2", "1", "2"], 2)
        ['1', '2']
    """
    return [text for text, _ in Counter(texts).most_common(most)]


def central_boxes(boxes: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Boxes that may overlap many others: medians and means of the edges, larger and smaller ones, and real ones.

    Args:
        boxes: Shape ``(N, 4)``, xyxy, at least one.
        most: Most of the boxes themselves that are returned, those nearest to the median.

    Returns:
        Shape ``(M, 4)``, the median first.

    Example:
        >>> central_boxes(np.array([[0, 0, 4, 4], [0, 0, 6, 6], [2, 2, 8, 8.0]]), 1)[[0, -1]].tolist()
        [[0.0, 0.0, 6.0, 6.0], [0.0, 0.0, 6.0, 6.0]]
    """
    median = np.median(boxes, axis=0)
    middle = (median + np.roll(median, 2)) / 2
    scaled = [middle + scale * (median - middle) for scale in _SCALES]
    nearest = np.argsort(np.abs(boxes - median).sum(axis=1), kind="stable")[:most]
    return np.stack([median, boxes.mean(axis=0), *scaled, *boxes[nearest]])

"""Detection as it is reported: average precision of one picture, and precision and recall apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vrft_pl.answers import AnswerFrame, Instances
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.detection import (
    DetectionReward,
    Ints,
    TrueObjects,
    match_answer,
    read_list,
    true_objects,
)
from vrft_pl.rewards.overlap import Floats, box_areas, intersections, iou_matrix
from vrft_pl.rewards.parsing import Unread, read_answer
from vrft_pl.types import Sample

COCO_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
_MOST = 100
"""Boxes of a category that count, the most confident ones."""
_RECALLS = np.linspace(0.0, 1.0, 101)
_HIT, _EXCUSED = 1, 2


class DetectionAP(Reward):
    """Average precision of one picture as pycocotools computes it, less where more boxes are answered than are true.

    With ``K`` objects and ``M`` answered boxes, AP times ``min(1, K / M)``: the reward ``odLength`` of VLM-R1
    (https://arxiv.org/abs/2504.07615, sec. 4), which is trained on since boxes behind the last hit cost AP nothing, and
    a policy learns to add them. Without an object to be found, 1 for no box, else 0, as there.

    AP is the mean over the thresholds, and over the categories that have an object, of precision at 101 recalls. A
    confidence is limited to [0, 1], and 1 where none is given; ties are broken by the order of writing; the 100 most
    confident boxes of a category count. Deviations: VLM-R1 takes every confidence for 1; its count is of entries,
    where here boxes on crowds, and those that `DetectionReward` leaves out where not all is annotated, don't count.

    Args:
        thresholds: IoU from which a box is a hit; COCO's ten by default, ``[0.5]`` for AP50.
        length_penalty: Whether ``min(1, K / M)`` is a factor; without it, AP alone.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If there is no threshold, or one is not in (0, 1].

    Example:
        >>> from vrft_pl.answers import Instance
        >>> truth = Instances((Instance((0, 0, 10, 10), "dog"), Instance((20, 0, 30, 10), "dog")), ("dog",), "a.jpg")
        >>> sample = Sample("1", (), "Detect all dogs.", truth, style="answer")
        >>> frame = AnswerFrame(40, 40, 1.0, 1.0)
        >>> rewards = DetectionAP([0.5]), DetectionAP([0.5], length_penalty=False)
        >>> text = "[[0, 0, 10, 9, 0.9], [0, 20, 9, 30, 0.3], [9, 20, 19, 30, 0.2]]"  # 51 of 101 recalls, 3 boxes for 2
        >>> [round(reward.grade_one(text, sample, frame), 3) for reward in rewards]
        [0.337, 0.505]
    """

    solution_type = Instances
    bounds = (0.0, 1.0)

    def __init__(
        self, thresholds: Sequence[float] = COCO_THRESHOLDS, length_penalty: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
            raise ValueError(f"Expected `thresholds` to be IoU in (0, 1], at least one, but got {list(thresholds)}.")
        self.thresholds, self.length_penalty = tuple(thresholds), length_penalty

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge the boxes of one answer."""
        assert isinstance(sample.solution, Instances)
        answer = read_answer(text, sample.style)
        if isinstance(answer, Unread):
            return answer
        counted = match_answer(answer, sample.solution, frame, min(self.thresholds), True)
        if isinstance(counted, Unread):
            return counted
        matched, _, num_true = counted
        if not num_true:
            return float(not len(matched))
        precision = picture_precision(answer, sample.solution, frame, self.thresholds)
        return precision * min(1.0, num_true / len(matched)) if self.length_penalty and len(matched) else precision


@lru_cache(maxsize=512)
def picture_precision(
    answer: str, truth: Instances, frame: AnswerFrame | None, thresholds: tuple[float, ...] = COCO_THRESHOLDS
) -> float:
    """Mean average precision of one picture, over its categories that have an object; 0 for what can't be read.

    Computed once for the completions of a group that give the same answer.
    """
    answered, true = read_list(answer, truth.categories, frame), true_objects(truth)
    if isinstance(answered, Unread):
        return 0.0
    scores = np.nan_to_num(answered.confidences, nan=1.0)
    precisions = []
    for category in np.unique(true.categories):
        chosen = np.flatnonzero(answered.inside & (answered.categories == category))
        best = chosen[np.argsort(-scores[chosen], kind="stable")[:_MOST]]
        precisions.append(category_precision(answered.boxes[best], int(category), true, thresholds))
    return math.fsum(precisions) / len(precisions) if precisions else 0.0


def category_precision(boxes: Floats, category: int, true: TrueObjects, thresholds: tuple[float, ...]) -> float:
    """Average precision of one category that has an object.

    Args:
        boxes: The most confident first. Shape ``(M, 4)``.
        category: Position of the category among those asked for.
        true: The annotated objects.
        thresholds: IoU from which a box is a hit.
    """
    if not len(boxes):
        return 0.0
    objects = true.boxes[true.categories == category]
    on_crowds = intersections(boxes, true.crowds[true.crowd_categories == category]).max(axis=1, initial=0.0)
    levels = np.minimum(thresholds, 1 - 1e-10)  # as pycocotools, whose hit at 1 may be off by what numbers are
    fates = match_by_confidence(iou_matrix(boxes, objects), on_crowds / box_areas(boxes), levels)
    if category in true.lenient:
        fates[fates == 0] = _EXCUSED
    return float(interpolated(fates, len(objects)).mean())


def match_by_confidence(ious: Floats, on_crowds: Floats, levels: Floats) -> Ints:
    """Let each box in turn take the object that it fits best and that is free, at each threshold apart.

    Args:
        ious: Of boxes and objects, the most confident box first. Shape ``(M, K)``.
        on_crowds: Share of each box on a crowd. Shape ``(M,)``.
        levels: Thresholds. Shape ``(T,)``.

    Returns:
        1 for a hit, 2 for a box that is excused, 0 for a wrong one. Shape ``(T, M)``.
    """
    taken = np.zeros((len(levels), ious.shape[1]), dtype=np.bool_)
    fates = np.where(on_crowds[None, :] >= levels[:, None], _EXCUSED, 0)
    for i, row in enumerate(ious):
        fits = (row[None, :] >= levels[:, None]) & ~taken
        hit = fits.any(axis=1)
        if hit.any():
            values = np.where(fits, row[None, :], -1.0)
            best = values.shape[1] - 1 - values[:, ::-1].argmax(axis=1)  # pycocotools takes the last of equal ones
            taken[np.flatnonzero(hit), best[hit]] = True
            fates[hit, i] = _HIT
    return fates


def interpolated(fates: Ints, num_true: int) -> Floats:
    """Mean of the precision at 101 recalls, each the greatest at that recall or beyond. Returns shape ``(T,)``."""
    hits, wrong = np.cumsum(fates == _HIT, axis=1), np.cumsum(fates == 0, axis=1)
    precision = hits / np.maximum(hits + wrong, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = (hits[:, None, :] / num_true < _RECALLS[None, :, None]).sum(axis=2)
    padded = np.concatenate([precision, np.zeros((len(fates), 1))], axis=1)
    return np.asarray(np.take_along_axis(padded, reached, axis=1).mean(axis=1))


class DetectionPrecision(DetectionReward):
    """Share of answered boxes that are hits; 0 for none where there is something to find.

    With ``full_at`` above the threshold a hit is worth its IoU, and 1 from there on: the precision reward of Vision-R1
    (https://arxiv.org/abs/2503.18013, sec. 3.2), whose stages are 0.5 and 0.75, then 0.75 and 0.9 (`Staged`). Without
    an object to be found, 1 for no box, else 0.

    Args:
        threshold: IoU from which a box is a hit.
        full_at: IoU from which a hit is worth 1. Defaults to the threshold: every hit is.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If not 0 <= ``threshold`` <= ``full_at`` <= 1.

    Example:
        >>> from vrft_pl.answers import Instance
        >>> truth = Instances((Instance((0, 0, 10, 10), "dog"), Instance((20, 0, 30, 10), "dog")), ("dog",), "a.jpg")
        >>> sample = Sample("1", (), "Detect all dogs.", truth, style="answer")
        >>> rewards = DetectionPrecision(), DetectionPrecision(full_at=0.75), DetectionRecall()
        >>> text = "[[0, 0, 10, 6], [0, 20, 9, 30], [9, 20, 19, 30]]"
        >>> [round(reward.grade_one(text, sample, AnswerFrame(40, 40, 1.0, 1.0)), 3) for reward in rewards]
        [0.333, 0.2, 0.5]
    """

    def __init__(self, threshold: float = 0.5, full_at: float | None = None, **kwargs: Any) -> None:
        super().__init__(threshold, **kwargs)
        self.full_at = threshold if full_at is None else full_at
        if not threshold <= self.full_at <= 1:
            raise ValueError(f"Expected `full_at` to be from `threshold` {threshold} to 1, but got {full_at}.")

    def credit(self, matched: Floats, confidences: Floats, num_true: int) -> float:
        """Average over the answered boxes."""
        if not len(matched):
            return float(not num_true)
        return min(math.fsum(self.worth(matched).tolist()) / len(matched), 1.0)

    def worth(self, matched: Floats) -> Floats:
        """What each box is worth, by its IoU with the object it is paired with."""
        return np.where((matched > 0) & (matched >= self.full_at), 1.0, matched)


class DetectionRecall(DetectionPrecision):
    """Share of the objects that are found; without one, 1 for no box, else 0.

    Alone it pays for a grid of boxes: train on it beside `DetectionPrecision` (Vision-R1,
    https://arxiv.org/abs/2503.18013, sec. 3.2).

    Args:
        **kwargs: Those of `DetectionPrecision`.
    """

    def credit(self, matched: Floats, confidences: Floats, num_true: int) -> float:
        """Average over the objects."""
        if not num_true:
            return float(not len(matched))
        return min(math.fsum(self.worth(matched).tolist()) / num_true, 1.0)

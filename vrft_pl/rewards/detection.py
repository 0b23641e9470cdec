"""How well the boxes of an answer fit the objects of an image."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vrft_pl.answers import AnswerFrame, Instances
from vrft_pl.names import normalize_name
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.boxes import limit_box
from vrft_pl.rewards.matching import pair_boxes
from vrft_pl.rewards.overlap import Floats, box_areas, intersections, iou_matrix
from vrft_pl.rewards.parsing import Unread, parse_detections, read_answer
from vrft_pl.types import Sample

Ints = NDArray[np.int64]

_COVERED = 0.5
"""Share of a box's area on a crowd from which the box is taken to be one of the crowd."""

_FURTHER = 5
"""Boxes that can't be judged which a hit vouches for: what a picture is taken to hold beside each object found."""
_VOUCHES = 0.5
"""IoU from which a pair is a hit that vouches for others, whatever the threshold of the reward."""
_SAME = 0.3
"""IoU from which two boxes are taken for one object where not all objects are annotated."""


@dataclass(frozen=True)
class Answered:
    """The boxes of one answer, in the order of writing."""

    boxes: Floats
    """Cut at the edges of the image, xyxy pixels of the original image. Shape ``(M, 4)``."""
    inside: NDArray[np.bool_]
    """Whether any of the box lies in the image. Shape ``(M,)``."""
    confidences: Floats
    """Limited to [0, 1]; NaN where the answer gives none. Shape ``(M,)``."""
    categories: Ints
    """Position of its label among the categories asked for, 0 if there is one; -1 for another one. Shape ``(M,)``."""
    unreadable: int
    """Entries that are no box."""


@lru_cache(maxsize=4096)
def category_positions(categories: tuple[str, ...]) -> dict[str, int]:
    """Positions of the categories asked for by their normalised names."""
    return {normalize_name(name): i for i, name in enumerate(categories)}


def read_detections(text: str, sample: Sample, frame: AnswerFrame | None) -> Answered | Unread:
    """Read the boxes of a completion. Where one category is asked for, a label is not asked for, and not read."""
    truth = sample.solution
    assert isinstance(truth, Instances)
    answer = read_answer(text, sample.style)
    return answer if isinstance(answer, Unread) else read_list(answer, truth.categories, frame)


@lru_cache(maxsize=512)
def read_list(answer: str, categories: tuple[str, ...], frame: AnswerFrame | None) -> Answered | Unread:
    """Read an answer once for every reward and for those of its group that give the same."""
    detections = parse_detections(answer, categories, frame is not None and frame.y_first)
    if isinstance(detections, Unread):
        return detections
    items = detections.items
    if items and frame is None:
        return Unread.NO_PICTURE
    boxes = [] if frame is None else [limit_box(frame.to_pixels(item.xyxy), frame) for item in items]
    labels = [0] * len(items)
    if len(categories) > 1:
        positions = category_positions(categories)
        labels = [-1 if item.label is None else positions.get(normalize_name(item.label), -1) for item in items]
    stated = [math.nan if item.confidence is None else min(max(item.confidence, 0.0), 1.0) for item in items]
    return Answered(
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        inside=np.array([x2 > x1 and y2 > y1 for x1, y1, x2, y2 in boxes], dtype=np.bool_),
        confidences=np.array(stated, dtype=np.float64),
        categories=np.array(labels, dtype=np.int64),
        unreadable=detections.unreadable,
    )


def forget() -> None:
    """Forget the answers that were read in this process."""
    read_list.cache_clear()
    match_answer.cache_clear()


class TrueObjects(NamedTuple):
    """The annotated objects of the categories asked for, as arrays."""

    boxes: Floats
    """Of the objects to be found. Shape ``(K, 4)``."""
    categories: Ints
    """Shape ``(K,)``."""
    crowds: Floats
    """Shape ``(C, 4)``."""
    crowd_categories: Ints
    """Shape ``(C,)``."""
    lenient: Ints
    """Categories that are not annotated exhaustively."""


@lru_cache(maxsize=4096)
def true_objects(truth: Instances) -> TrueObjects:
    """Prepare a ground truth, which every completion of a group is compared with."""
    positions = category_positions(truth.categories)
    names = [(normalize_name(item.category), item) for item in truth.items]
    parts: list[Any] = []  # boxes and categories of objects, then of crowds
    for crowd in (False, True):
        asked = [(positions[name], item.xyxy) for name, item in names if name in positions and item.crowd == crowd]
        parts.append(np.array([box for _, box in asked], dtype=np.float64).reshape(-1, 4))
        parts.append(np.array([category for category, _ in asked], dtype=np.int64))
    lenient = [positions[name] for name in map(normalize_name, truth.not_exhaustive) if name in positions]
    return TrueObjects(parts[0], parts[1], parts[2], parts[3], np.array(lenient, dtype=np.int64))


class DetectionReward(Reward):
    """Compares the boxes of an answer with the objects of an image after a one-to-one matching; has two subclasses.

    Pairs of an answered and a true box of one category are chosen so that the sum of their IoU is the largest possible;
    pairs below the threshold are none. Crowds need not be found: a box without a pair counts neither for nor against
    the answer where half of it lies on a crowd of its category.

    Nor does a box without a pair whose category is not annotated exhaustively: it can't be judged. Of ``u`` such boxes
    of a category, beside ``h`` that hit with an IoU of 0.5 or more, ``5 h`` are left out, the smallest first, as far as
    each can be an object beside the hits and the others, with an IoU below 0.3, and 5 where nothing of the category is
    annotated. The rest are more than the picture is taken to hold: answered boxes that earn nothing, so that a grid of
    guesses, or some around one place, is not paid for its few hits.

    Boxes are cut at the edges of the image; one outside, an entry that is no box and, where several categories are
    asked for, one without a label of theirs are wrong boxes, and so is each after the first 1000. Where one category is
    asked for, labels are not read.

    Args:
        threshold: IoU from which two boxes are a pair; 0 for any overlap.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``threshold`` is not in [0, 1].
    """

    solution_type = Instances
    bounds = (0.0, 1.0)
    prefers_confident = False
    """Whether of equally good boxes the most confident is paired, so that the order of writing never matters."""
    wants_confidence = False
    """Whether a box that can't be judged is left out only if it states a confidence."""

    def __init__(self, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= threshold <= 1:
            raise ValueError(f"Expected `threshold` to be an IoU in [0, 1], but got {threshold}.")
        self.threshold = threshold

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge the boxes of one answer."""
        assert isinstance(sample.solution, Instances)
        answer = read_answer(text, sample.style)
        if isinstance(answer, Unread):
            return answer
        judged = match_answer(
            answer, sample.solution, frame, self.threshold, self.prefers_confident, self.wants_confidence
        )
        return judged if isinstance(judged, Unread) else self.credit(*judged)

    @abstractmethod
    def credit(self, matched: Floats, confidences: Floats, num_true: int) -> float:
        """Turn a matching into a score in [0, 1].

        Args:
            matched: IoU of each box that counts with its true box, 0 for a wrong one. Shape ``(M,)``.
            confidences: Confidence of each box in [0, 1], NaN where there is none. Shape ``(M,)``.
            num_true: Objects to be found.
        """


@lru_cache(maxsize=512)
def match_answer(
    answer: str,
    truth: Instances,
    frame: AnswerFrame | None,
    threshold: float,
    prefers_confident: bool,
    wants_confidence: bool = False,
) -> tuple[Floats, Floats, int] | Unread:
    """Match an answer once for the completions of its group that give the same. Returns what `credit` takes."""
    answered = read_list(answer, truth.categories, frame)
    if isinstance(answered, Unread):
        return answered
    true, stated = true_objects(truth), answered.confidences
    several = len(truth.categories) > 1
    alike = answered.categories[:, None] == true.categories if several else None
    preference = stated if prefers_confident else None
    matched = pair_boxes(answered.boxes, true.boxes, threshold, alike, preference)
    worthless = answered.unreadable
    if len(true.crowds) or len(true.lenient):
        crowded, unjudged = _excused(answered, true, matched)
        if wants_confidence:
            unjudged &= ~np.isnan(stated)
        worthless += _beyond(answered, unjudged, matched, true)
        counted = ~(crowded | unjudged)
        matched, stated = matched[counted], stated[counted]
    if worthless:
        matched = np.concatenate([matched, np.zeros(worthless)])
        stated = np.concatenate([stated, np.full(worthless, np.nan)])
    return matched, stated, len(true.boxes)


def _excused(answered: Answered, true: TrueObjects, matched: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Boxes without a pair that are not wrong: on a crowd, or of a category with further objects. Shapes ``(M,)``."""
    covered = intersections(answered.boxes, true.crowds) >= _COVERED * box_areas(answered.boxes)[:, None]
    crowded = (covered & (answered.categories[:, None] == true.crowd_categories)).any(axis=1)
    alone = answered.inside & (matched == 0)
    return alone & crowded, alone & ~crowded & np.isin(answered.categories, true.lenient)


def _beyond(answered: Answered, unjudged: NDArray[np.bool_], matched: Floats, true: TrueObjects) -> int:
    """Boxes that can't be judged and are more than the picture is taken to hold beside the hits of their category.

    A hit vouches for others only if it would be one at an IoU of 0.5, and where there is something to hit.
    """
    beyond = 0
    for category in np.unique(answered.categories[unjudged]):
        own = answered.categories == category
        hits, others = answered.boxes[own & (matched > 0)], answered.boxes[own & unjudged]
        vouching = int((matched[own] >= _VOUCHES).sum()) if (true.categories == category).any() else 1
        beyond += len(others) - _apart(others, hits, most=_FURTHER * vouching)
    return beyond


def _apart(boxes: Floats, hits: Floats, most: int) -> int:
    """How many boxes can be objects beside the hits and each other, the smallest first, up to a number."""
    free = np.logical_not((iou_matrix(boxes, hits) >= _SAME).any(axis=1))
    overlaps, count = iou_matrix(boxes, boxes) >= _SAME, 0
    for i in np.lexsort((*boxes.T, box_areas(boxes))):  # whatever the order of writing
        if free[i] and count < most:
            count += 1
            free &= ~overlaps[i]
    return count


class DetectionIoU(DetectionReward):
    """Sum of IoU of the pairs, divided by the number of true or of answered boxes, whichever is greater.

    The IoU reward of Visual-RFT (https://arxiv.org/abs/2503.01785, eq. 5-6). Deviations: eq. 6 averages over the
    answered boxes, so that a missed object costs nothing; and the paper's code pairs boxes greedily in the order of
    writing. Without an object to be found, 1 for no box, else 0.

    Args:
        threshold: IoU from which two boxes are a pair; 0 for the smooth form.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``threshold`` is not in [0, 1].

    Example:
        >>> from vrft_pl.answers import Instance
        >>> from vrft_pl.types import Sample
        >>> truth = Instances((Instance((0, 0, 10, 10), "dog"), Instance((20, 0, 30, 10), "dog")), ("dog",), "a.jpg")
        >>> sample = Sample("1", (), "Detect all dogs.", truth, style="answer")
        >>> text = "[{'Position': [0, 0, 10, 6], 'Confidence': 0.9}]"
        >>> DetectionIoU().grade_one(text, sample, AnswerFrame(40, 40, 1.0, 1.0))
        0.3
    """

    def credit(self, matched: Floats, confidences: Floats, num_true: int) -> float:
        """Average the IoU."""
        if not num_true and not len(matched):
            return 1.0
        return min(math.fsum(matched.tolist()) / max(num_true, len(matched)), 1.0)


class DetectionConfidence(DetectionReward):
    """Mean of c over paired and of 1 - c over wrong boxes, missed objects counting 0.

    The confidence reward of Visual-RFT (https://arxiv.org/abs/2503.01785, eq. 7). Deviations: c is limited to [0, 1]; a
    box without one earns nothing, be it one that can't be judged; and a missed object is one more term of 0 in the
    mean, where the paper leaves it out.
    Without an object to be found, 1 for no box, and the mean of 1 - c divided by 1 + number of boxes for some.

    Args:
        threshold: IoU from which two boxes are a pair; 0 for any overlap.
        proper: Earn ``1 - (c - hit)^2`` a box instead, whose mean is greatest where c is the chance of a hit; c and
            1 - c are greatest at 0 or 1.
        relative: Let a wrong box earn -c (-c^2 if ``proper``) in place of 1 - c, and count a sum below 0 as 0. In the
            paper's form wrong boxes of confidence 0 earn as much as sure hits, and a grid of them outdoes a weak
            detector.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``threshold`` is not in [0, 1].

    Example:
        >>> from vrft_pl.answers import Instance
        >>> from vrft_pl.types import Sample
        >>> truth = Instances((Instance((0, 0, 10, 10), "dog"), Instance((20, 0, 30, 10), "dog")), ("dog",), "a.jpg")
        >>> sample = Sample("1", (), "Detect all dogs.", truth, style="answer")
        >>> found, wrong = "{'Position': [0, 0, 10, 6], 'Confidence': 0.9}", "{'bbox': [9, 9, 30, 30], 'score': 0.3}"
        >>> score = DetectionConfidence().grade_one(f"[{found}, {wrong}]", sample, AnswerFrame(40, 40, 1.0, 1.0))
        >>> round(score, 4)  # (0.9 + 0.7 + 0) / 3
        0.5333
    """

    prefers_confident = True
    wants_confidence = True

    def __init__(self, threshold: float = 0.5, proper: bool = False, relative: bool = False, **kwargs: Any) -> None:
        super().__init__(threshold, **kwargs)
        self.proper, self.relative = proper, relative

    def credit(self, matched: Floats, confidences: Floats, num_true: int) -> float:
        """Average what the confidences earn."""
        if not len(matched):
            return float(not num_true)
        earned, hits = [], 0
        for iou, confidence in zip(matched.tolist(), confidences.tolist(), strict=True):
            hit = iou > 0
            hits += hit
            if confidence == confidence:  # NaN is none, and earns nothing
                gain = 1 - (confidence - hit) ** 2 if self.proper else confidence if hit else 1 - confidence
                earned.append(gain - (self.relative and not hit))
        total = max(math.fsum(earned), 0.0)
        if not num_true:
            return total / len(matched) / (1 + len(matched))
        return total / (len(matched) + num_true - hits)

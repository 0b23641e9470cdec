"""Whether an answer points at each object, once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from vrft_pl.answers import XY, XYXY, AnswerFrame, Points
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import Unread, read_answer
from vrft_pl.rewards.parsing.points import parse_points
from vrft_pl.types import Sample


@dataclass(frozen=True)
class Pointed:
    """The points of one answer."""

    places: tuple[XY, ...]
    """In pixels of the original image; may lie outside."""
    unreadable: int
    """Entries that are no point."""

    @property
    def count(self) -> int:
        """Entries that were answered."""
        return len(self.places) + self.unreadable


def read_points(text: str, sample: Sample, frame: AnswerFrame | None) -> Pointed | Unread:
    """Read the points of a completion."""
    answer = read_answer(text, sample.style)
    if isinstance(answer, Unread):
        return answer
    points = parse_points(answer)
    if isinstance(points, Unread):
        return points
    if points.items and frame is None:
        return Unread.NO_PICTURE
    places = [frame.to_pixels((*point, *point))[:2] for point in points.items] if frame is not None else []
    return Pointed(tuple(places), points.unreadable)


class PointMatch(Reward):
    """Objects that are pointed at, divided by the number of objects or of points, whichever is greater.

    A point is on an object if it lies within its edges, or, where only a point on it is known, no further away than
    ``radius``. Each point stands for one object and each object takes one point, so that as many as possible are
    paired: a second point on one object is one too many. Without an object, 1 for no point, else 0.

    Counting by pointing is that of Molmo (https://arxiv.org/abs/2409.17146), which is supervised, and the matching of
    VisionReasoner (https://arxiv.org/abs/2505.12081), where a point beside a box of 30 pixels earns too.

    Args:
        radius: Share of the longer side of the image, for objects of which a point is known.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``radius`` is not in (0, 1].

    Example:
        >>> truth = Points(((0, 0, 10, 10), (20, 0, 30, 10)))
        >>> sample, frame = Sample("1", (), "Point at the dogs.", truth, style="answer"), AnswerFrame(40, 40, 1.0, 1.0)
        >>> answers = "[[5, 5], [25, 5]]", "[[5, 5], [6, 6]]", "[[5, 5], [25, 5], [35, 35]]"
        >>> [round(PointMatch().grade_one(answer, sample, frame), 3) for answer in answers]
        [1.0, 0.5, 0.667]
    """

    solution_type = Points
    bounds = (0.0, 1.0)

    def __init__(self, radius: float = 0.05, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < radius <= 1:
            raise ValueError(f"Expected `radius` to be a share of the image in (0, 1], but got {radius}.")
        self.radius = radius

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge the points of one answer."""
        assert isinstance(sample.solution, Points)
        pointed, places = read_points(text, sample, frame), sample.solution.places
        if isinstance(pointed, Unread):
            return pointed
        if not places or not pointed.places:
            return float(not places and not pointed.count)
        assert frame is not None
        return self.hits(pointed.places, places, frame) / max(len(places), pointed.count)

    def hits(self, points: tuple[XY, ...], places: tuple[XYXY | XY, ...], frame: AnswerFrame) -> int:
        """Most pairs of a point and the object that it is on."""
        # a policy that writes whole units can't be nearer than half of one
        half = 0.5 * 10.0**-frame.decimals
        slack = (half * frame.scale_x, half * frame.scale_y)
        radius = self.radius * max(frame.width, frame.height)
        on = [[is_on(point, place, radius, slack) for place in places] for point in points]
        paired = maximum_bipartite_matching(csr_array(np.array(on, dtype=np.int8)), perm_type="column")
        return int((paired >= 0).sum())


def is_on(point: XY, place: XYXY | XY, radius: float, slack: XY) -> bool:
    """Whether a point is on an object, all in pixels."""
    x, y = point
    if len(place) == 4:
        x1, y1, x2, y2 = place
        return x1 - slack[0] <= x <= x2 + slack[0] and y1 - slack[1] <= y <= y2 + slack[1]
    return math.hypot(x - place[0], y - place[1]) <= radius + max(slack)


class PointCount(Reward):
    """1 for as many points as there are objects, wherever they are, and no entry that is none, else 0.

    It looks at no place: train on it beside `PointMatch`.

    Args:
        **kwargs: Those of `Reward`.

    Example:
        >>> sample = Sample("1", (), "Point at the dogs.", Points(((0, 0, 10, 10), (20, 0, 30, 10))), style="answer")
        >>> [PointCount().grade_one(text, sample, AnswerFrame(40, 40, 1.0, 1.0)) for text in ("[[1, 1], [2, 2]]", "[]")]
        [1.0, 0.0]
    """

    solution_type = Points
    bounds = (0.0, 1.0)

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge the number of points."""
        assert isinstance(sample.solution, Points)
        pointed = read_points(text, sample, frame)
        if isinstance(pointed, Unread):
            return pointed
        return float(not pointed.unreadable and pointed.count == len(sample.solution.places))

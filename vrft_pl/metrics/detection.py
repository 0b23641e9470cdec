"""Average precision of detections over a whole split."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from vrft_pl.answers import XYXY, AnswerFrame, Instances
from vrft_pl.metrics.collected import Collected, Row
from vrft_pl.names import normalize_name
from vrft_pl.rewards.detection import Answered, category_positions, read_detections
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Completions, Sample

AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Sizes of objects in square pixels, as COCO names them."""
Truth = tuple[XYXY, float, bool]
"""Box in pixels, area in square pixels, whether it is a crowd."""
Scored = tuple[XYXY, float]
"""Box in pixels and its confidence in [0, 1]."""


class Asked(NamedTuple):
    """One category of one question."""

    category: str
    truths: tuple[Truth, ...]
    answers: tuple[Scored, ...]
    exhaustive: bool
    """Whether all objects of the category are annotated."""


class Question(NamedTuple):
    """What is kept of one answer."""

    image: str
    asked: tuple[Asked, ...]
    read: bool
    dropped: int
    """Entries that can't be placed: no box, outside the image, or with another label than those asked for."""
    image_id: int | str | None = None
    """Id of the image in a file of COCO or LVIS."""

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Place of the image among those whose scores tie, as in pycocotools and lvis-api: by id.

        Numbers come before text, and images without an id, which those know nothing of, last and by name.
        """
        match self.image_id:
            case None:
                return 2, 0, "", self.image
            case str(text):
                return 1, 0, text, self.image
            case number:
                return 0, number, "", self.image


@dataclass
class Precision:
    """Precision of one category, shape ``(10 IoU thresholds, 101 recalls, 4 sizes)``; -1 where there is no truth."""

    values: NDArray[np.float64] = field(default_factory=lambda: np.full((10, 101, len(AREAS)), -1.0))

    def mean(self, area: str = "all", iou: float | None = None) -> float | None:
        """Average precision for a size, at one IoU threshold or over all; ``None`` where there is no truth."""
        values = self.values[:, :, list(AREAS).index(area)]
        values = values if iou is None else values[round((iou - 0.5) / 0.05)]
        return float(values.mean()) if values.min() > -1 else None


def mean_precision(precisions: Iterable[Precision], area: str = "all", iou: float | None = None) -> float | None:
    """Mean over the categories that have a truth; ``None`` where none has."""
    means = [mean for precision in precisions if (mean := precision.mean(area, iou)) is not None]
    return sum(means) / len(means) if means else None


class CategoryEval(COCOeval):
    """COCO's protocol for one category: every image in which it was asked for.

    Args:
        asked: By image, in the order of ties.
        max_detections: Boxes of an image that count, the most confident ones.
        lenient: Excuse boxes without a match where the category is not annotated exhaustively (LVIS).
    """

    def __init__(self, asked: Sequence[Asked], max_detections: int, lenient: bool = False) -> None:
        super().__init__(iouType="bbox")
        self.params.imgIds, self.params.catIds = list(range(len(asked))), [0]
        self.params.maxDets, self.params.areaRng = [max_detections], [list(area) for area in AREAS.values()]
        self.params.areaRngLbl = list(AREAS)
        self.asked = asked
        self.lenient = lenient

    def precision(self) -> Precision:
        """Run the protocol."""
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            self.evaluate()
            self.accumulate()
        return Precision(self.eval["precision"][:, :, 0, :, 0])

    def _prepare(self) -> None:
        number = 0
        for image, asked in enumerate(self.asked):
            self._gts[image, 0], self._dts[image, 0] = [], []
            for xyxy, area, crowd in asked.truths:
                number += 1  # from 1: the protocol takes a match with number 0 for none
                extra = {"id": number, "bbox": _xywh(xyxy), "area": area, "iscrowd": int(crowd), "ignore": int(crowd)}
                self._gts[image, 0].append(extra)
            for xyxy, score in asked.answers:
                number += 1
                x, y, width, height = box = _xywh(xyxy)
                self._dts[image, 0].append({"id": number, "bbox": box, "area": width * height, "score": score})

    def evaluateImg(self, imgId: int, catId: int, aRng: Any, maxDet: int) -> dict[str, Any] | None:
        """Match the boxes of one image; the names are those of pycocotools."""
        result = super().evaluateImg(imgId, catId, aRng, maxDet)
        if result is not None and self.lenient and not self.asked[imgId].exhaustive:
            result["dtIgnore"] = result["dtIgnore"] | (result["dtMatches"] == 0)
        return result


def _xywh(xyxy: XYXY) -> list[float]:
    x1, y1, x2, y2 = xyxy
    return [x1, y1, x2 - x1, y2 - y1]


class AveragePrecision(Collected):
    """Collects what was asked, true and answered, by image and category; has two subclasses.

    Questions about one image are merged. A category asked for twice in one image counts once; of several completions
    of one question, each counts as another image. Boxes are cut at the edges of the image. A confidence is limited to
    [0, 1], and 1 where none is given; an answer that can't be read holds no box. Boxes outside the image, entries that
    are no box and boxes of categories that were not asked for are dropped: ``<name>/dropped`` counts them an answer.
    Where one category is asked for, labels are not read. Ties of confidence are broken by image, see `Question.order`,
    and within one by the order of writing.
    """

    solution_type = Instances

    def values_of(self, completions: Completions, samples: Sequence[Sample]) -> list[Question]:
        """Read the boxes of each answer."""
        triples = zip(completions.texts, samples, completions.frames, strict=True)
        return [keep_question(sample.solution, read_detections(text, sample, frame)) for text, sample, frame in triples]

    def by_category(self, rows: Sequence[Row]) -> dict[str, dict[tuple[str, int], Asked]]:
        """Merge questions: category by name, first spelling, then image and occurrence, in the order of ties."""
        merged: dict[str, dict[tuple[str, int], Asked]] = {}
        questions: list[tuple[Question, int]] = [(row.value, row.occurrence) for row in rows]
        places: dict[str, int] = {}
        for question in sorted((question for question, _ in questions), key=lambda question: question.order):
            places.setdefault(question.image, len(places))
        spelled: dict[str, str] = {}
        for question, occurrence in questions:
            for asked in question.asked:
                name = spelled.setdefault(normalize_name(asked.category), asked.category)
                merged.setdefault(name, {}).setdefault((question.image, occurrence), asked)
        in_order = {name: sorted(merged[name], key=lambda key: (places[key[0]], key[1])) for name in sorted(merged)}
        return {name: {key: merged[name][key] for key in keys} for name, keys in in_order.items()}

    def overview(self, precisions: Mapping[str, Precision], rows: Sequence[Row]) -> dict[str, float | None]:
        """The numbers that COCO and LVIS share, and how answers failed."""
        every = precisions.values()
        questions: list[Question] = [row.value for row in rows]
        return {
            self.name: mean_precision(every),
            f"{self.name}/AP50": mean_precision(every, iou=0.5),
            f"{self.name}/AP75": mean_precision(every, iou=0.75),
            **{f"{self.name}/AP{area[0]}": mean_precision(every, area) for area in ("small", "medium", "large")},
            f"{self.name}/dropped": sum(question.dropped for question in questions) / len(questions),
            f"parse_failures/{self.name}": sum(not question.read for question in questions) / len(questions),
        }


def asked_question(text: str, sample: Sample, frame: AnswerFrame | None) -> Question | None:
    """The question and what a completion answers; ``None`` where no objects are asked for."""
    asked = isinstance(sample.solution, Instances)
    return keep_question(sample.solution, read_detections(text, sample, frame)) if asked else None


def keep_question(truth: Any, answered: Answered | Unread) -> Question:
    """Reduce a question and its answer to the boxes of the categories asked for."""
    assert isinstance(truth, Instances)
    asked = []
    partial = {normalize_name(name) for name in truth.not_exhaustive}
    positions = category_positions(truth.categories)
    dropped = 0
    if not isinstance(answered, Unread):
        dropped = answered.unreadable + int((~answered.inside | (answered.categories < 0)).sum())
    for name, position in positions.items():
        truths = tuple(
            (item.uncut or item.xyxy, _area(item.xyxy) if item.area is None else item.area, item.crowd)
            for item in truth.items
            if normalize_name(item.category) == name
        )
        answers: tuple[Scored, ...] = ()
        if not isinstance(answered, Unread):
            chosen = answered.inside & (answered.categories == position)
            scores = np.nan_to_num(answered.confidences[chosen], nan=1.0).tolist()
            answers = tuple(zip(map(tuple, answered.boxes[chosen].tolist()), scores, strict=True))
        asked.append(Asked(truth.categories[position], truths, answers, name not in partial))
    return Question(truth.image, tuple(asked), not isinstance(answered, Unread), dropped, truth.image_id)


def _area(xyxy: XYXY) -> float:
    return (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])


class COCOAveragePrecision(AveragePrecision):
    """COCO's average precision (pycocotools), of all images and the categories asked for in them.

    Logs ``<name>``, ``/AP50``, ``/AP75``, ``/APs``, ``/APm``, ``/APl``, ``/class/<category>``, ``/base`` and
    ``/novel``, each where it has a truth, and ``/dropped`` and ``parse_failures/<name>``. Up to 100 boxes count per
    image and category. `Instances.not_exhaustive` is unknown to this protocol: `LVISAveragePrecision` heeds it.

    Args:
        base: Categories seen in training; their mean is logged.
        novel: Categories not seen in training; their mean is logged.
        per_class: Log each category.
        name: Name in logs.

    Raises:
        ValueError: If a category is both base and novel.
    """

    def __init__(
        self,
        base: list[str] | None = None,
        novel: list[str] | None = None,
        per_class: bool = True,
        name: str = "AP",
    ) -> None:
        super().__init__(name)
        self.groups = {"base": set(map(normalize_name, base or ())), "novel": set(map(normalize_name, novel or ()))}
        if both := sorted(self.groups["base"] & self.groups["novel"]):
            raise ValueError(f"Expected `base` and `novel` to share no category, but both hold {both}.")
        self.per_class = per_class

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """Average precision, of all and by size, category and group."""
        categories = self.by_category(rows).items()
        precisions = {category: CategoryEval(list(asked.values()), 100).precision() for category, asked in categories}
        numbers = self.overview(precisions, rows)
        if self.per_class:
            numbers |= {f"{self.name}/class/{category}": p.mean() for category, p in precisions.items()}
        for group, names in self.groups.items():
            chosen = [precision for category, precision in precisions.items() if normalize_name(category) in names]
            numbers[f"{self.name}/{group}"] = mean_precision(chosen)
        return {key: value for key, value in numbers.items() if value is not None}

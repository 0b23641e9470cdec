"""Answered boxes in the format of COCO's results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from vrft_pl.data.sources import COCODetection, Source
from vrft_pl.metrics.detection import Question, Scored


class Answer(NamedTuple):
    """What was answered for one category of a picture."""

    sample: str
    """Id of the sample that asked for it."""
    order: tuple[int, int, str, str]
    """Place of the picture among others."""
    image: int | str
    """Id of the picture, or its name where it has none."""
    boxes: tuple[Scored, ...]


@dataclass
class COCOResults:
    """The answered boxes of one part of a split, by picture and category.

    A category that is asked for twice in a picture counts once, for the same sample as in `COCOAveragePrecision`.
    """

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    """By the names of the picture and the category."""

    def add(self, question: Question, sample: str) -> None:
        """Add the boxes of the answer to one sample."""
        image = question.image if question.image_id is None else question.image_id
        for asked in question.asked:
            answer = Answer(sample, question.order, image, asked.answers)
            kept = self.answers.setdefault((question.image, asked.category), answer)
            if sample < kept.sample:
                self.answers[question.image, asked.category] = answer

    def write(self, file: BinaryIO, source: Source | None) -> None:
        """Write ``[{image_id, category_id, bbox, score}, ...]``.

        ``bbox`` is ``[x, y, width, height]`` in pixels of the original image. Pictures and categories go by their ids
        where the rows come from a COCO file, so that ``loadRes`` of pycocotools reads the results against it, and by
        their names elsewhere. Rows are in the order in which `LVISAveragePrecision` breaks ties at its limit of boxes.
        """
        categories = category_ids(source)
        in_order = sorted(self.answers.items(), key=lambda item: (item[1].order, item[0][1]))
        separator = "["
        for (_, category), answer in in_order:
            ids = {"image_id": answer.image, "category_id": categories.get(category, category)}
            for (x1, y1, x2, y2), score in answer.boxes:
                row = json.dumps({**ids, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score})
                file.write(f"{separator}{row}".encode())
                separator = ",\n"
        file.write(b"]\n" if separator != "[" else b"[]\n")


def category_ids(source: Source | None) -> Mapping[str, int | str]:
    """Ids of categories by their names; none where the rows come from no COCO file."""
    while source is not None and not isinstance(source, COCODetection):
        source = getattr(source, "source", None)  # a subset of another source
    return {} if source is None else source.category_ids

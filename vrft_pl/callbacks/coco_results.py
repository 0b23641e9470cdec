"""Answered boxes in the format of COCO's results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vrft_pl.data.sources import COCODetection, Source
from vrft_pl.data.sources.coco import read_coco
from vrft_pl.metrics.detection import Question, Scored


@dataclass
class COCOResults:
    """The answered boxes of one part of a split, by picture and category.

    A category that is asked for twice in a picture counts once, as in `COCOAveragePrecision`.
    """

    answers: dict[tuple[str, str], tuple[Scored, ...]] = field(default_factory=dict)
    """Boxes in pixels and their confidence, by the names of the picture and the category."""

    def add(self, question: Question) -> None:
        """Add the boxes of one answer."""
        for asked in question.asked:
            self.answers.setdefault((question.image, asked.category), asked.answers)

    def write(self, path: Path, source: Source | None) -> None:
        """Write ``[{image_id, category_id, bbox, score}, ...]``, whole or not at all.

        ``bbox`` is ``[x, y, width, height]`` in pixels of the original image. Pictures and categories go by their ids
        where the rows come from a COCO file, so that ``loadRes`` of pycocotools reads the results against it, and by
        their names elsewhere.
        """
        images, categories = numbering(source)
        scratch = path.with_name(f".{path.name}")
        with scratch.open("w", encoding="utf-8") as file:
            separator = "["
            for (image, category), answers in self.answers.items():
                ids = {"image_id": images.get(image, image), "category_id": categories.get(category, category)}
                for (x1, y1, x2, y2), score in answers:
                    file.write(separator + json.dumps({**ids, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}))
                    separator = ",\n"
            file.write("]\n" if separator != "[" else "[]\n")
        scratch.replace(path)


def numbering(source: Source | None) -> tuple[Mapping[str, int | str], Mapping[str, int | str]]:
    """Ids of pictures by their names, and of categories by theirs; empty where the rows come from no COCO file.

    The file is read again: the source keeps no ids, which only this needs.
    """
    while source is not None and not isinstance(source, COCODetection):
        source = getattr(source, "source", None)  # a subset of another source
    if source is None:
        return {}, {}
    coco = read_coco(source.path, source.image_keys)
    images = {source.image(row, (), {}).file: row["id"] for row in coco["images"]}
    return images, {row["name"]: row["id"] for row in coco["categories"]}

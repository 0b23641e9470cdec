"""Random questions about pictures, with answers, that tests compare with the evaluations of COCO and LVIS."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from builders import make_completions
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vrft_pl.answers import AnswerFrame, Instance, Instances
from vrft_pl.types import Completions, Sample

SIZE = 400
FRAME = AnswerFrame(SIZE, SIZE, 1.0, 1.0)


def question(name: str, image: str, items: Any, categories: Any, **kwargs: Any) -> Sample:
    """Ask for categories in an image."""
    return Sample(name, (), "Detect.", Instances(tuple(items), tuple(categories), image, **kwargs), style="answer")


def write(boxes: Any) -> str:
    """Write an answer of ``(xyxy, score, category)``."""
    return str([{"bbox": [*map(float, box)], "score": float(s), "label": c} for box, s, c in boxes])


def perturbed(rng: np.random.Generator, items: list[Instance], categories: list[str], extra: int) -> list[Any]:
    """Answer about the truth: some objects missed, some shifted, some with another category, some made up."""
    boxes: list[Any] = []
    for item in items:
        if rng.random() < 0.8:
            width, height = item.xyxy[2] - item.xyxy[0], item.xyxy[3] - item.xyxy[1]
            corners = np.array(item.xyxy) + rng.normal(0, 0.12, 4) * (width, height, width, height)
            category = item.category if rng.random() < 0.9 else str(rng.choice(categories))
            boxes.append((corners, rng.random(), category))
    for _ in range(extra):
        x, y = rng.uniform(0, SIZE - 60, 2)
        boxes.append(
            ((x, y, x + rng.uniform(5, 90), y + rng.uniform(5, 90)), rng.random(), str(rng.choice(categories)))
        )
    kept = []
    for box, score, category in boxes:
        x1, y1, x2, y2 = np.clip(box, 0, SIZE)
        if x2 > x1 and y2 > y1:
            kept.append((tuple(round(float(v), 2) for v in (x1, y1, x2, y2)), round(float(score), 6), category))
    return kept


def made_up(rng: np.random.Generator, categories: list[str], count: int, crowds: float = 0.1) -> list[Instance]:
    """Objects of all sizes."""
    items = []
    for _ in range(count):
        x, y = rng.uniform(0, SIZE * 0.8, 2)
        width, height = np.minimum(SIZE - np.array([x, y]), np.exp(rng.uniform(2, 5.5, 2)))
        area = float(width * height * rng.uniform(0.5, 1))
        box = (float(x), float(y), float(x + width), float(y + height))
        items.append(Instance(box, str(rng.choice(categories)), area, bool(rng.random() < crowds)))
    return items


def answered(texts: list[str]) -> Completions:
    """Completions about pictures of one size."""
    return make_completions(texts, FRAME)


def xywh(box: Any) -> list[float]:
    """Box as COCO writes it."""
    x1, y1, x2, y2 = map(float, box)
    return [x1, y1, x2 - x1, y2 - y1]


def coco_dataset(truths: list[list[Instance]], categories: list[str]) -> dict[str, Any]:
    """Annotations of images numbered from 1."""
    objects = [(image, item) for image, items in enumerate(truths, 1) for item in items]
    return {
        "info": {},
        "images": [{"id": i, "width": SIZE, "height": SIZE} for i in range(1, len(truths) + 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories, 1)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": categories.index(item.category) + 1,
                "bbox": xywh(item.xyxy),
                "area": item.area,
                "iscrowd": int(item.crowd),
            }
            for number, (image, item) in enumerate(objects, 1)
        ],
    }


def coco_results(answers: list[list[Any]], categories: list[str]) -> list[dict[str, Any]]:
    """Detections in images numbered from 1."""
    return [
        {"image_id": image, "category_id": categories.index(category) + 1, "bbox": xywh(box), "score": score}
        for image, boxes in enumerate(answers, 1)
        for box, score, category in boxes
    ]


def run_pycocotools(
    dataset: dict[str, Any], results: list[dict[str, Any]]
) -> tuple[dict[str, float], dict[str, float]]:
    """COCO's own numbers: the six of average precision, and that of each category."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_class = {c["name"]: precision[:, :, k].mean() for k, c in enumerate(dataset["categories"])}
    return dict(zip(("", "/AP50", "/AP75", "/APs", "/APm", "/APl"), evaluation.stats[:6], strict=True)), per_class

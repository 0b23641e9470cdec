"""Average precision on LVIS, whose images are each annotated for some categories only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from vrft_pl.metrics.collected import Row
from vrft_pl.metrics.detection import Asked, AveragePrecision, CategoryEval, mean_precision
from vrft_pl.names import normalize_name, spellings
from vrft_pl.types import InputError

Frequency = Literal["r", "c", "f"]
"""Rare, common and frequent: in up to 10, up to 100 and more images of LVIS's training set."""

MAX_DETECTIONS = 300
"""Boxes of an image that count, the most confident ones of all categories."""


class LVISAveragePrecision(AveragePrecision):
    """LVIS's federated average precision (Gupta et al. 2019, https://arxiv.org/abs/1908.03195, sec. 2.2; lvis-api).

    A category is judged in the images in which it was asked for, which are to be those where it is known to be present
    (positive) or absent (negative); boxes without a match are excused where it is in `Instances.not_exhaustive`. Logs
    ``<name>``, ``/APr``, ``/APc``, ``/APf``, ``/AP50``, ``/AP75``, ``/APs``, ``/APm`` and ``/APl``, each where it has a
    truth, and ``/dropped`` and ``parse_failures/<name>``. Up to 300 boxes count per image, of the categories asked for.

    Args:
        frequency: ``r``, ``c`` or ``f`` by category; or a file that has it, such as LVIS's annotations.
        name: Name in logs.

    Raises:
        InputError: If the file can't be read or lacks a frequency.
        ValueError: If a frequency is another one, or two spellings of a name have different ones.
    """

    def __init__(self, frequency: dict[str, Frequency] | str, name: str = "LVIS_AP") -> None:
        super().__init__(name)
        frequency = read_frequencies(Path(frequency)) if isinstance(frequency, str) else frequency
        for category, value in frequency.items():
            if value not in get_args(Frequency):
                raise ValueError(f"Expected the frequency of `{category}` to be r, c or f, but got {value!r}.")
        for names in spellings(frequency).values():
            if len({frequency[name] for name in names}) > 1:
                raise ValueError(f"Expected one frequency of a category, but {names} are one, and have several.")
        self.frequency = {normalize_name(name): value for name, value in frequency.items()}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """Average precision, of all and by size and frequency.

        Raises:
            InputError: If the frequency of a category is not known.
        """
        merged = self.by_category(rows)
        if unknown := sorted(name for name in merged if normalize_name(name) not in self.frequency):
            raise InputError(f"Expected `frequency` of {self.name} to hold every category, but it lacks {unknown}.")
        limited = limit_detections(merged)
        precisions = {
            category: CategoryEval(list(asked.values()), MAX_DETECTIONS, lenient=True).precision()
            for category, asked in limited.items()
        }
        numbers = self.overview(precisions, rows)
        for frequency in get_args(Frequency):
            chosen = [p for category, p in precisions.items() if self.frequency[normalize_name(category)] == frequency]
            numbers[f"{self.name}/AP{frequency}"] = mean_precision(chosen)
        return {key: value for key, value in numbers.items() if value is not None}


def read_frequencies(path: Path) -> dict[str, Any]:
    """Read the frequencies of categories from a file of annotations, or from a JSON object of them by category.

    Raises:
        InputError: If the file can't be read, or a category has none.
    """
    try:
        # annotations of images and polygons are nearly all of a file of a gigabyte
        content = json.loads(path.read_text(encoding="utf-8"), object_hook=_without_annotation)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Expected frequencies of categories in {path}, but it can't be read: {error}.") from error
    rows = content.get("categories") if isinstance(content, dict) else None
    if isinstance(rows, list):
        named = [r for r in rows if isinstance(r, dict) and isinstance(r.get("name"), str) and "frequency" in r]
        content = {row["name"]: row["frequency"] for row in named} if len(named) == len(rows) else None
    if not isinstance(content, dict) or not content:
        raise InputError(f"Expected {path} to hold `categories` with a `name` and a `frequency`, but it does not.")
    return content


def _without_annotation(row: dict[str, Any]) -> dict[str, Any]:
    """Drop annotations as soon as they are read."""
    return {} if "image_id" in row else row


def limit_detections(
    merged: Mapping[str, Mapping[tuple[str, int], Asked]],
) -> dict[str, dict[tuple[str, int], Asked]]:
    """Keep the most confident boxes of each image over all its categories."""
    scores: dict[tuple[str, int], list[tuple[float, str, int]]] = {}
    for category, images in merged.items():
        for image, asked in images.items():
            ranked = ((-score, category, i) for i, (_, score) in enumerate(asked.answers))
            scores.setdefault(image, []).extend(ranked)
    kept = {image: set(sorted(ranked)[:MAX_DETECTIONS]) for image, ranked in scores.items()}
    return {
        category: {
            image: asked._replace(
                answers=tuple(
                    (box, score) for i, (box, score) in enumerate(asked.answers) if (-score, category, i) in kept[image]
                )
            )
            for image, asked in images.items()
        }
        for category, images in merged.items()
    }

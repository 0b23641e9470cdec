"""LVIS files, in which only some categories of each image are annotated or known to be absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vrft_pl.data.sources.annotated import AnnotatedImage, AnnotatedObject
from vrft_pl.data.sources.coco import COCODetection
from vrft_pl.types import InputError


class LVISDetection(COCODetection):
    """Objects of an LVIS file (Gupta et al. 2019, https://arxiv.org/abs/1908.03195, sec. 2.2).

    An image is asked only for categories that are annotated in it or verified to be absent; ``negatives`` are among the
    latter, and ``all`` of them is what `LVISAveragePrecision` expects. The path of an image under ``image_root`` is the
    end of its ``coco_url``, such as ``val2017/000000397133.jpg``, or its ``file_name`` where it has no URL. Categories
    are called as in the file (``horse_buggy``). Arguments and errors are those of `COCODetection`.

    Attributes:
        frequency: ``r``, ``c`` or ``f`` by the name of each category in the file, for `LVISAveragePrecision`.
    """

    image_keys = ("id", "neg_category_ids", "not_exhaustive_category_ids")

    def image(
        self, row: Mapping[str, Any], objects: Sequence[AnnotatedObject], positions: Mapping[int | str, int]
    ) -> AnnotatedImage:
        """Read an entry of ``images``, with what is known of its categories."""
        owner = f"{self.path}, image {row['id']}"
        absent, partial = (
            sorted({positions[key] for key in category_ids(row, part, owner) if key in positions})
            for part in self.image_keys[1:]
        )
        image = super().image({**row, "file_name": image_file(row, owner)}, objects, positions)
        return image._replace(absent=absent, partial=partial)

    def frequencies(self, categories: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Letter of frequency by the name of a category.

        Raises:
            InputError: If a category has none.
        """
        for row in categories:
            if row.get("frequency") not in ("r", "c", "f"):
                raise InputError(
                    f"{self.path}: expected `frequency` of category {row['name']!r} to be r, c or f, as in LVIS, "
                    f"but got {row.get('frequency')!r}."
                )
        return super().frequencies(categories)


def category_ids(row: Mapping[str, Any], key: str, owner: str) -> list[int | str]:
    """Read a list of ids of categories.

    Raises:
        InputError: If it is none.
    """
    ids = row[key]
    if not (isinstance(ids, list) and all(isinstance(value, int | str) for value in ids)):
        raise InputError(f"{owner}: expected `{key}` to be a list of ids, but got {str(ids)[:60]!r}.")
    return ids


def image_file(row: Mapping[str, Any], owner: str) -> str:
    """Path of an image under the root: the last folder and the file of its URL, or its file name.

    Raises:
        InputError: If it has neither.
    """
    if isinstance(url := row.get("coco_url"), str) and all(parts := url.split("/")[-2:]) and len(parts) == 2:
        return "/".join(parts)
    if isinstance(name := row.get("file_name"), str) and name.strip():
        return name
    raise InputError(f"{owner}: expected `coco_url` to end with a folder and a file, but got {str(url)[:60]!r}.")

"""Prepare RefCOCO, RefCOCO+ or RefCOCOg for grounding: a file of JSON lines a split, a row an expression.

python tools/prepare_refcoco.py data/refcoco

The folder holds instances.json and refs(unc).p, refs(umd).p or refs(google).p of https://github.com/lichengunc/refer,
or the same list as refs.json, and COCO's train2014/, there or beside it. Pickles can run code when they are read; here
one may hold numbers, texts, lists and dicts, and is refused where it asks for anything else.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from prepare.command import run
from prepare.files import first_of, read_json, relative, write_splits

from vrft_pl.data.sources.coco import read_coco
from vrft_pl.types import InputError

REFS = ("refs.json", "refs(unc).p", "refs(umd).p", "refs(google).p")
IMAGES = ("train2014", "images", "../train2014", "../images/mscoco/images/train2014", "../coco/train2014")


class PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and dicts, and nothing that names code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse every class and function."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write one row for each expression; boxes are xyxy pixels."""
    instances = first_of(folder, "instances.json")
    coco = read_coco(instances)
    boxes = {annotation["id"]: annotation["bbox"] for annotation in coco["annotations"]}
    names = {image["id"]: str(image["file_name"]) for image in coco["images"]}
    path, images = first_of(folder, *REFS), first_of(folder, *IMAGES)
    splits: dict[str, list[dict[str, object]]] = {}
    for i, ref in enumerate(read_refs(path)):
        owner = f"{path}, row {i}"
        split, annotation, image = (ref.get(key) for key in ("split", "ann_id", "image_id"))
        if not isinstance(split, str) or not split.isalnum():
            raise InputError(f"{owner}: expected `split` to be the name of a split, but got {split!r}.")
        if (
            not isinstance(annotation, int)
            or not isinstance(image, int)
            or annotation not in boxes
            or image not in names
        ):
            raise InputError(
                f"{owner}: expected annotation {annotation!r} and image {image!r} to be in {instances.name}."
            )
        box = corners(boxes[annotation], f"{instances}, annotation {annotation}")
        picture = relative(images / names[image], output)
        for j, text in enumerate(expressions(ref, owner)):
            identity = f"{ref.get('ref_id', i)}-{j}"
            problem = f"Locate what this describes: {text}."
            splits.setdefault(split, []).append({"id": identity, "image": picture, "problem": problem, "answer": box})
    if not splits:
        raise InputError(f"Expected at least one row in {path}, but it is empty.")
    return write_splits(output, splits)


def read_refs(path: Path) -> list[dict[str, Any]]:
    """Read the list of references.

    Raises:
        InputError: If it can't be read, holds code, or is no list of dicts.
    """
    if path.suffix == ".json":
        refs = read_json(path)
    else:
        try:
            with path.open("rb") as file:
                # latin-1: written by Python 2, whose texts are bytes
                refs = PlainUnpickler(file, encoding="latin-1").load()
        except (OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise InputError(f"Expected plain values in {path}, but it can't be read: {error}.") from error
    if not isinstance(refs, list) or not all(isinstance(ref, dict) for ref in refs):
        raise InputError(f"Expected {path} to hold a list of references.")
    return refs


def expressions(ref: dict[str, Any], owner: str) -> list[str]:
    """Read the texts of a reference.

    Raises:
        InputError: If it has none.
    """
    sentences = ref.get("sentences")
    texts = [s.get("sent") if isinstance(s, dict) else None for s in sentences] if isinstance(sentences, list) else []
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(f"{owner}: expected `sentences` to hold texts `sent`, but got {sentences!r}.")
    return [str(text).strip() for text in texts]


def corners(box: object, owner: str) -> list[float]:
    """Turn a COCO box into xyxy.

    Raises:
        InputError: If it is no box.
    """
    match box:
        case [int() | float() as x, int() | float() as y, int() | float() as width, int() | float() as height]:
            return [x, y, x + width, y + height]
        case _:
            raise InputError(f"{owner}: expected `bbox` to be [x, y, width, height], but got {box!r}.")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()

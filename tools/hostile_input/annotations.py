"""Files of annotated pictures that are wrong: COCO, LVIS, Pascal VOC, LISA."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_input.case import Case, Cases, Make, reads
from hostile_input.pictures import png

Change = Callable[[dict[str, Any]], object]
COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20], "iscrowd": 0, "area": 400}],
    "categories": [{"id": 1, "name": "cat"}],
}
LVIS: dict[str, Any] = copy.deepcopy(COCO)
LVIS["images"][0] |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
LVIS["categories"][0] |= {"frequency": "r"}
SHAPE = {"label": "target", "points": [[1, 1], [9, 1], [9, 9]]}
LISA: dict[str, Any] = {"text": "the cat", "is_sentence": False, "shapes": [SHAPE]}
VOC = (
    "<annotation><filename>a.png</filename><size><width>64</width><height>64</height></size>"
    "<object><name>cat</name><bndbox><xmin>4</xmin><ymin>4</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object>"
    "</annotation>"
)
IN_COCO: dict[str, tuple[tuple[str, Any], ...]] = {
    "images": (
        ("id", None), ("id", 1.5), ("file_name", None), ("file_name", ""), ("file_name", 7), ("file_name", "b.png"),
        ("file_name", "../a.png"), ("file_name", "/etc/hostname"), ("width", "x"), ("width", -1), ("width", 65),
        ("width", 1e400), ("id", [1]),
    ),
    "annotations": (
        ("id", None), ("image_id", 2), ("category_id", 2), ("bbox", None), ("bbox", []), ("bbox", [1, 1, 1]),
        ("bbox", ["a", 1, 1, 1]), ("bbox", [4, 4, 0, 0]), ("bbox", [4, 4, -9, 9]), ("bbox", [400, 4, 9, 9]),
        ("bbox", [4, 4, 1e400, 9]), ("bbox", [True, 4, 9, 9]), ("bbox", {"x": 1}), ("area", -1), ("area", "x"),
        ("iscrowd", 7), ("iscrowd", "no"),
    ),
    "categories": (("id", None), ("name", None), ("name", 7), ("name", ""), ("id", 2)),
}  # fmt: skip
"""A list of the file, a key of its entries, and what that should not hold."""
OF_LVIS: tuple[tuple[str, str, Any], ...] = (
    ("categories", "frequency", "often"),
    ("categories", "frequency", None),
    ("images", "neg_category_ids", None),
    ("images", "neg_category_ids", [[1]]),
    ("images", "not_exhaustive_category_ids", "x"),
    ("images", "coco_url", "http://host/../a.png"),
)


def detects(source: str, write: Callable[[Path], object], **init_args: Any) -> Make:
    """The small run on annotated pictures; one of them is ``pictures/a.png``."""
    section = {"class_path": f"vrft_pl.data.{source}", "init_args": init_args}
    task = "Grounding" if source in ("COCOSingles", "LISA") else "Detection"

    def files(folder: Path) -> None:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "a.png").write_bytes(png(64, 64))
        write(folder)

    return reads({"class_path": f"vrft_pl.data.{task}", "init_args": {"batch_size": 1, "train": section}}, files)


def coco(source: str, content: Any, **init_args: Any) -> Make:
    """A file of COCO or LVIS: a text, or what becomes JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    given = {"annotations": "coco.json", "image_root": "pictures", **init_args}
    return detects(source, lambda folder: (folder / "coco.json").write_text(text), **given)


def changed(whole: dict[str, Any], part: str, key: str, value: Any) -> dict[str, Any]:
    """A file with another value in the first entry of a list; ``None`` leaves the key out."""
    whole = copy.deepcopy(whole)
    if value is None:
        del whole[part][0][key]
    else:
        whole[part][0][key] = value
    return whole


def coco_files() -> Cases:
    """COCO and LVIS."""
    cases: Cases = {}
    for part, values in IN_COCO.items():
        for key, value in values:
            what = "missing" if value is None else repr(value)
            cases[f"COCO/{key} of {part} {what}"] = Case(coco("COCODetection", changed(COCO, part, key, value)), 1)
    for part, key, value in OF_LVIS:
        whole = changed(LVIS, part, key, value)
        cases[f"LVIS/{key} {'missing' if value is None else repr(value)}"] = Case(coco("LVISDetection", whole), 1)
    for part in COCO:
        others: dict[str, Any] = {"missing": None, "an object": {}, "empty": [], "of numbers": [1]}
        for name, other in others.items():
            whole = {**COCO, part: other} if other is not None else {k: v for k, v in COCO.items() if k != part}
            cases[f"COCO/{part} {name}"] = Case(coco("COCODetection", whole), 1)
        twice = {**COCO, part: COCO[part] * 2}
        if part != "annotations":
            cases[f"COCO/{part} twice"] = Case(coco("COCODetection", twice), 1)
    texts = {"empty": "", "no JSON": "hello", "a list": "[]", "a number": "7", "deep": "[" * 100_000}
    cases |= {f"COCO/{name}": Case(coco("COCODetection", text), 1) for name, text in texts.items()}
    cases["COCO/a category that is not there"] = Case(coco("COCODetection", COCO, categories=["dog"]), 1)
    cases["COCO/a question without its field"] = Case(coco("COCODetection", COCO, question="What?"), 2)
    cases["COCO/a wide field"] = Case(coco("COCODetection", COCO, question="{category:1000000000}"), 2)
    cases["COCO singles/a wide field"] = Case(coco("COCOSingles", COCO, question="{category:1000000000}"), 2)
    cases["COCO singles/an attribute in a field"] = Case(coco("COCOSingles", COCO, question="{category.__class__}"), 2)
    cases["COCO singles/an open brace"] = Case(coco("COCOSingles", COCO, question="{category"), 2)
    cases["COCO singles/a picture that leads out"] = Case(
        coco("COCOSingles", changed(COCO, "images", "file_name", "../coco.json")), 1
    )
    return cases


def voc(content: str | None, names: str = "a\n", **init_args: Any) -> Make:
    """A folder of VOC."""

    def write(folder: Path) -> None:
        for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
            (folder / name).mkdir(parents=True)
        (folder / "JPEGImages/a.png").write_bytes(png(64, 64))
        (folder / "ImageSets/Main/train.txt").write_text(names)
        if content is not None:
            (folder / "Annotations/a.xml").write_text(content)

    return detects("VOCDetection", write, folder=".", **init_args)


def lisa(content: Any) -> Make:
    """A folder of LISA."""
    text = content if isinstance(content, str) else json.dumps(content)
    return detects("LISA", lambda folder: (folder / "pictures/a.json").write_text(text), folder="pictures")


def folders() -> Cases:
    """Pascal VOC and LISA."""
    entities = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;">]>'
    in_voc: dict[str, Make] = {
        "no XML": voc("hello"),
        "an empty file": voc(""),
        "a file that is missing": voc(None),
        "entities that grow": voc(entities + VOC.replace("cat", "&c;")),
        "half of it": voc(VOC[:80]),
        "a box of words": voc(VOC.replace("<xmin>4", "<xmin>left")),
        "a box without an edge": voc(VOC.replace("<xmin>4</xmin>", "")),
        "a box turned over": voc(VOC.replace("<xmin>4", "<xmin>40")),
        "a box of nan": voc(VOC.replace("<xmin>4", "<xmin>nan")),
        "a size of words": voc(VOC.replace("<width>64", "<width>wide")),
        "another size": voc(VOC.replace("<width>64", "<width>65")),
        "no category": voc(VOC.replace("<name>cat</name>", "")),
        "a list of images that is empty": voc(VOC, names=""),
        "an image that leads out": voc(VOC, names="../a\n"),
        "no such set": voc(VOC, image_set="dev"),
        "a set that leads out": voc(VOC, image_set="../../../x"),
        "10,000 levels": voc("<a>" * 10_000),
        "11 MB": voc(VOC + " " * 11_000_000),
    }
    in_lisa: dict[str, Make] = {
        "no JSON": lisa("hello"),
        "a list": lisa("[]"),
        "deep": lisa("[" * 100_000),
        "no text": lisa({**LISA, "text": None}),
        "a text that is a number": lisa({**LISA, "text": 7}),
        "a blank text": lisa({**LISA, "text": " "}),
        "no shapes": lisa({**LISA, "shapes": None}),
        "an empty list of shapes": lisa({**LISA, "shapes": []}),
        "a shape without a label": lisa({**LISA, "shapes": [{"points": SHAPE["points"]}]}),
        "two points": lisa({**LISA, "shapes": [{**SHAPE, "points": [[1, 1], [2, 2]]}]}),
        "points of words": lisa({**LISA, "shapes": [{**SHAPE, "points": [["a", 1]] * 3}]}),
        "points of nan": lisa({**LISA, "shapes": [{**SHAPE, "points": [[float("nan"), 1]] * 3}]}),
        "points beyond the picture": lisa({**LISA, "shapes": [{**SHAPE, "points": [[900, 1], [901, 1], [901, 9]]}]}),
        "a circle": lisa({**LISA, "shapes": [{**SHAPE, "shape_type": "circle"}]}),
        "a sentence that is maybe one": lisa({**LISA, "is_sentence": "maybe"}),
    }
    cases = {f"VOC/{name}": Case(make, 1) for name, make in in_voc.items()}
    return cases | {f"LISA/{name}": Case(make, 1) for name, make in in_lisa.items()}

"""Files of annotated objects as rows of grounding, counting and classification."""

from __future__ import annotations

import json
import re

import pytest
from data.sources.test_coco_detection import coco
from data.sources.test_voc import voc
from PIL import Image

from vrft_pl.answers import Box, Label, Number
from vrft_pl.data import (
    Classification,
    COCOSingles,
    Counting,
    Detection,
    Grounding,
    GroundingScenes,
    LVISDetection,
    Pointing,
)
from vrft_pl.types import InputError

NONE = "No Objects"


def rows(source):
    return [(record.images[0].path.name, record.problem, record.answer) for record in source]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        pytest.param(
            "box",
            [
                ("a.png", "Locate the cat.", Box((1, 2, 11.5, 22))),
                ("b.png", "Locate the cat.", Box((0, 0, 30, 30))),
            ],
            id="categories-with-one-object-and-no-crowd",
        ),
        pytest.param(
            "count",
            [
                ("a.png", "How many objects of the category 'dog' are in the image?", Number(2.0)),
                ("a.png", "How many objects of the category 'cat' are in the image?", Number(1.0)),
                ("b.png", "How many objects of the category 'cat' are in the image?", Number(1.0)),
            ],
            id="categories-without-a-crowd",
        ),
        pytest.param(
            "largest",
            [
                (name, "Which class does the largest object in the image belong to?", Label("cat"))
                for name in ("a.png", "b.png")
            ],
            id="class-of-the-largest",
        ),
    ],
)
def test_a_coco_file_is_asked_for_one_box_a_count_or_a_class(ask, expected, tmp_path):
    assert rows(coco(tmp_path, ask=ask)) == expected


def test_a_picture_with_objects_of_one_category_has_a_class(tmp_path):
    box = {"image_id": 3, "category_id": 9, "bbox": [0, 0, 9, 9]}
    source = coco(tmp_path, {"annotations": [{**box, "id": 1}, {**box, "id": 2}]}, ask="class")
    assert rows(source) == [("c.png", source.question, Label("cat"))]
    assert source.classes(0) == ("cat",)
    source = coco(tmp_path, {"annotations": [{**box, "id": 1}, {**box, "id": 2, "category_id": 5}]}, ask="largest")
    assert len(source) == 1
    with pytest.raises(InputError, match="it has none"):
        coco(tmp_path, {"annotations": [{**box, "id": 1}, {**box, "id": 2, "category_id": 5}]}, ask="class")


def test_a_voc_folder_does_not_count_what_it_calls_difficult(tmp_path):
    assert rows(voc(tmp_path, ask="count", question="How many {category}s?")) == [
        ("000_a.jpg", "How many cats?", Number(1.0)),
        ("000_b.png", "How many cats?", Number(1.0)),
    ]
    assert [row[2] for row in rows(voc(tmp_path, ask="box"))] == [Box((39, 29, 40, 30)), Box((0, 0, 40, 30))]


def test_what_is_absent_is_counted_as_zero_and_located_nowhere(tmp_path):
    counts = rows(coco(tmp_path, ask="count", negatives="all"))
    assert [(name, answer.value) for name, _, answer in counts] == [
        ("a.png", 2.0),
        ("a.png", 0.0),
        ("a.png", 1.0),
        ("b.png", 0.0),
        ("b.png", 1.0),
        *[("c.png", 0.0)] * 3,
    ]
    located = coco(tmp_path, ask="box", negatives=1)
    answers = [answer for _, _, answer in rows(located)]
    assert answers.count(NONE) == 3
    assert len(coco(tmp_path, ask="count", negatives=1)) == len(coco(tmp_path, ask="count")) + 3
    task = Grounding(train=located, negatives=True)
    assert sum(sample.solution.xyxy is None for sample in task.datasets("train")["train"]) == 3
    with pytest.raises(InputError, match="negatives: true"):
        Grounding(train=located).datasets("train")


def test_a_box_that_is_left_out_is_counted_and_makes_no_other_the_only_one(tmp_path):
    boxes = [{"id": i, "image_id": 1, "category_id": 9, "bbox": [5 * i, 5, 4, 4 * i]} for i in range(2)]
    with pytest.warns(UserWarning, match="Left out 1 of 2 boxes"):
        source = coco(tmp_path, {"annotations": boxes}, ask="count", bad_boxes="drop")
    assert [answer for *_, answer in rows(source)] == [Number(2.0)]
    with pytest.warns(UserWarning, match="Left out 1"), pytest.raises(InputError, match="it has none"):
        coco(tmp_path, {"annotations": boxes}, ask="box", bad_boxes="drop")


def test_categories_of_which_only_some_objects_are_annotated_are_not_counted(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "neg_category_ids": [], "not_exhaustive_category_ids": [5]}
    found = [{"id": i, "image_id": 1, "category_id": i, "bbox": [0, 0, 9, 9]} for i in (5, 7)]
    names = [{"id": 5, "name": "dog", "frequency": "f"}, {"id": 7, "name": "cat", "frequency": "f"}]
    lvis = {"images": [image], "annotations": found, "categories": names}
    (tmp_path / "lvis.json").write_text(json.dumps(lvis))
    for ask in ("count", "box"):
        source = LVISDetection(str(tmp_path / "lvis.json"), str(tmp_path), ask=ask)
        assert [source.classes(i) for i in range(len(source))] == [("cat",)]


def test_one_box_a_category_is_what_singles_gives(tmp_path):
    source = coco(tmp_path, ask="box")
    singles = COCOSingles(str(tmp_path / "coco.json"), str(tmp_path))
    assert [(r.problem, r.answer) for r in source] == [(r.problem, r.answer) for r in singles]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ask": "class", "question": "Is it a {category}?"}, "Expected `question` to hold no field"),
        ({"ask": "count", "question": "How many?"}, r"Expected `question` to hold \{category\}"),
        ({"ask": "largest", "negatives": 1}, "Expected no `negatives` with `ask: largest`"),
        ({"ask": "boxes"}, "Expected `ask` to be one of"),
    ],
    ids=["field", "no-field", "negatives", "ask"],
)
def test_what_cannot_be_asked_is_refused(options, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        coco(tmp_path, **options)


@pytest.mark.parametrize(
    ("family", "ask", "kind"),
    [(Grounding, "box", Box), (Counting, "count", Number), (Classification, "class", Label)],
    ids=["grounding", "counting", "classification"],
)
def test_each_family_takes_its_own_and_names_what_to_use_for_others(family, ask, kind, tmp_path):
    one = {"annotations": [{"id": 1, "image_id": 3, "category_id": 9, "bbox": [0, 0, 9, 9]}]}
    (sample,) = family(train=coco(tmp_path, one, ask=ask)).datasets("train")["train"]
    assert isinstance(sample.solution, kind)
    with pytest.raises(InputError, match=f"Set `ask: {ask}` of COCODetection, VOCDetection .* or use `Detection`"):
        family(train=coco(tmp_path, one)).datasets("train")
    with pytest.raises(InputError, match=f"Use `{family.__name__}`, or `ask: one` of COCODetection"):
        Detection(train=coco(tmp_path, one, ask=ask)).datasets("train")


def test_a_refusal_names_row_and_family(tmp_path):
    (record,) = GroundingScenes(size=1)
    for family in (Counting, Classification, Pointing, Detection):
        with pytest.raises(
            InputError, match=f"{re.escape(record.id)}: expected an answer that `{family.__name__}` takes"
        ):
            family().solution(record)
    with pytest.raises(InputError, match="COCOSingles"):
        Grounding().solution(next(iter(coco(tmp_path))))

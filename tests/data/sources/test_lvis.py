from __future__ import annotations

import json

import pytest
import torch
from builders import make_completions, make_sample
from PIL import Image

from vrft_pl.answers import AnswerFrame
from vrft_pl.data import LVISDetection
from vrft_pl.metrics import LVISAveragePrecision
from vrft_pl.types import InputError

URL = "http://images.cocodataset.org/"
LVIS = {
    "images": [
        {
            "id": 1,
            "coco_url": f"{URL}val2017/000001.jpg",
            "width": 40,
            "height": 30,
            "neg_category_ids": [3, 4],
            "not_exhaustive_category_ids": [2],
        },
        {
            "id": 2,
            "coco_url": f"{URL}train2017/000001.jpg",
            "width": 40,
            "height": 30,
            "neg_category_ids": [1],
            "not_exhaustive_category_ids": [],
        },
    ],
    "categories": [
        {"id": 1, "name": "horse_buggy", "frequency": "r"},
        {"id": 2, "name": "mug", "frequency": "c"},
        {"id": 3, "name": "person", "frequency": "f"},
        {"id": 4, "name": "die", "frequency": "r"},
    ],
    "annotations": [
        {"id": 10, "image_id": 1, "category_id": 2, "bbox": [1, 2, 10, 20], "area": 99.5},
        {"id": 11, "image_id": 2, "category_id": 4, "bbox": [0, 0, 5, 5], "area": 20},
    ],
}


def lvis(folder, changes=None, **kwargs):
    for split in ("val2017", "train2017"):
        (folder / split).mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(folder / split / "000001.jpg")
    (folder / "lvis.json").write_text(json.dumps(LVIS | (changes or {})), encoding="utf-8")
    return LVISDetection(str(folder / "lvis.json"), str(folder), **kwargs)


def with_image(**change):
    row = {**LVIS["images"][0], **change}
    return {"images": [{key: value for key, value in row.items() if value is not None}, LVIS["images"][1]]}


def asked(source):
    return [(record.answer.image.split("/")[0][0], *record.answer.categories) for record in source]


def test_pictures_are_found_by_the_end_of_their_url(tmp_path):
    first, second = lvis(tmp_path)
    assert first.images[0].path == tmp_path / "val2017" / "000001.jpg"
    assert first.answer.image == "val2017/000001.jpg"
    assert second.answer.image == "train2017/000001.jpg"


def test_a_file_name_takes_the_place_of_a_url(tmp_path):
    source = lvis(tmp_path, with_image(coco_url=None, file_name="val2017/000001.jpg"))
    assert source[0].answer.image == "val2017/000001.jpg"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, [("v", "mug"), ("t", "die")], id="one"),
        pytest.param(
            {"negatives": "all"},
            [("v", "mug"), ("v", "person"), ("v", "die"), ("t", "horse_buggy"), ("t", "die")],
            id="one-all",
        ),
        pytest.param({"ask": "all"}, [("v", "mug", "person", "die"), ("t", "horse_buggy", "die")], id="all"),
        pytest.param(
            {"categories": "lvis_rare", "negatives": 9}, [("v", "die"), ("t", "horse_buggy"), ("t", "die")], id="rare"
        ),
        pytest.param({"categories": ["person"], "negatives": 9}, [("v", "person")], id="unknown-in-one"),
        pytest.param({"categories": ["person"], "negatives": 9, "ask": "all"}, [("v", "person")], id="unknown-in-all"),
    ],
)
def test_only_what_is_annotated_or_verified_to_be_absent_is_asked_for(tmp_path, options, expected):
    assert asked(lvis(tmp_path, **options)) == expected


def test_one_negative_is_a_verified_one(tmp_path):
    chosen = {asked(lvis(tmp_path, negatives=1, seed=seed))[1] for seed in range(20)}
    assert chosen == {("v", "person"), ("v", "die")}


def test_categories_that_are_not_annotated_exhaustively_are_told(tmp_path):
    source = lvis(tmp_path, negatives="all")
    assert [record.answer.not_exhaustive for record in source] == [("mug",), (), (), (), ()]
    assert [record.answer.not_exhaustive for record in lvis(tmp_path, ask="all")] == [("mug",), ()]


def test_frequencies_go_into_the_metric(tmp_path):
    source = lvis(tmp_path, negatives="all", categories="lvis_rare")
    assert source.frequency == {"horse_buggy": "r", "mug": "c", "person": "f", "die": "r"}
    metric = LVISAveragePrecision(source.frequency)
    samples = [make_sample(record.answer, "answer") for record in source]
    frame = AnswerFrame(40, 30, 1.0, 1.0)
    found = "[{'Position': [0, 0, 5, 5], 'Confidence': 0.9}]"
    texts = [found if sample.solution.items else "No Objects" for sample in samples]
    metric.update(make_completions(texts, frame), samples)
    assert metric.compute()["LVIS_AP/APr"] == torch.tensor(1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"categories": [*LVIS["categories"][:3], {"id": 4, "name": "die"}]},
            "lvis.json: expected `frequency` of category 'die' to be r, c or f, as in LVIS, but got None",
            id="no-frequency",
        ),
        pytest.param(
            {"categories": [*LVIS["categories"][:3], {"id": 4, "name": "die", "frequency": ["r"]}]},
            r"expected `frequency` of category 'die' to be r, c or f, as in LVIS, but got \['r'\]",
            id="frequency-list",
        ),
        pytest.param(
            with_image(neg_category_ids=None), r"expected `neg_category_ids` in `images\[0\]`", id="no-absent"
        ),
        pytest.param(
            with_image(neg_category_ids=5),
            "image 1: expected `neg_category_ids` to be a list of ids, but got '5'",
            id="ids",
        ),
        pytest.param(
            with_image(not_exhaustive_category_ids=[[2]]),
            "image 1: expected `not_exhaustive_category_ids` to be a list of ids",
            id="nested-ids",
        ),
        pytest.param(
            with_image(coco_url=None), "image 1: expected `coco_url` to end with a folder and a file", id="no-url"
        ),
        pytest.param(
            with_image(coco_url="a.jpg"), "image 1: expected `coco_url` to end .* but got 'a.jpg'", id="no-folder"
        ),
        pytest.param(with_image(coco_url=5), "image 1: expected `coco_url` to end .* but got '5'", id="url-number"),
        pytest.param(with_image(coco_url=f"{URL}val2017/"), "image 1: expected `coco_url` to end with", id="no-file"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        lvis(tmp_path, changes)

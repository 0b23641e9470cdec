"""One rule says which names of classes are one, wherever names are compared."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from builders import PIXELS, grey_scene, make_completions, make_sample
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vrft_pl.answers import Instance, Instances, Label
from vrft_pl.check.labels import check_labels
from vrft_pl.data import Classification, COCODetection, COCOSingles, Detection, LVISDetection, Record
from vrft_pl.data.splits import resolve_categories
from vrft_pl.metrics import Accuracy, COCOAveragePrecision, LVISAveragePrecision
from vrft_pl.names import normalize_name, spellings
from vrft_pl.rewards import DetectionIoU, LabelMatch
from vrft_pl.types import InputError

ALIKE = [("the dog", "dog"), ("hot_dog", "Hot-Dog"), ("hot dog.", "HOT\u2010DOG"), ("ｈot dog", "hot dog")]
every_pair = pytest.mark.parametrize(("one", "other"), ALIKE)
BOX = (10.0, 10.0, 50.0, 50.0)


def coco(tmp_path, *names):
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 100}
    image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    categories = [{"id": i, "name": name, "frequency": "r"} for i, name in enumerate(names)]
    annotations = [{"id": i, "image_id": 1, "category_id": i, "bbox": [10, 10, 40, 40]} for i in range(len(names))]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [image], "categories": categories, "annotations": annotations}))
    return {"annotations": str(path), "image_root": str(tmp_path)}


@every_pair
def test_spellings_of_one_name_are_one(one, other):
    assert normalize_name(one) == normalize_name(other)
    assert spellings([one, "cat", other, one]) == {normalize_name(one): [one, other], "cat": ["cat"]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("An-12", "an 12"),
        ("an 12", "an 12"),
        ("an 8-pounder", "8 pounder"),
        ("a", "a"),
        ("The A", "a"),
        ("...", ""),
        ("A-10", "a 10"),
        ("A beagle", "beagle"),
        ("The_beagle", "beagle"),
        ("child\u2019s toy", "child's toy"),
        ("fire\u200b lily\u200f", "fire lily"),
        ("\ufefffire\x00 li\u2060ly\u202c", "fire lily"),
        ("a -", "a"),
    ],
)
def test_an_article_goes_and_a_name_stays(name, expected):
    assert normalize_name(name) == expected


@given(st.text(max_size=30), st.sampled_from(["", ".", "!", " ", '"']))
def test_case_and_ends_of_a_name_do_not_matter(name, end):
    label = normalize_name(name)
    assert label == label.strip()
    assert normalize_name(f"{end}{name}{end}") == label


@pytest.mark.parametrize("name", ["", " - ", "\u2014_"])
def test_a_name_of_separators_alone_is_blank(name):
    assert normalize_name(name) == ""


@every_pair
def test_rewards_take_them_for_one(one, other):
    label = make_sample(solution=Label(one), style="answer")
    assert LabelMatch().grade_one(other, label, None) == 1
    truth = Instances((Instance(BOX, one), Instance((60, 60, 90, 90), "cat")), (one, "cat"), "a.png")
    answer = f"[{{'Position': [10, 10, 50, 50], 'Confidence': 1, 'Label': {other!r}}}]"
    assert DetectionIoU().grade_one(answer, make_sample(solution=truth, style="answer"), PIXELS) == 0.5


@every_pair
def test_families_take_them_for_one(one, other):
    record = Record("row 1", (), "Which?", other)
    assert Classification([one, "cat"]).solution(record) == Label(one)
    with pytest.raises(ValueError, match="Expected a name to stand for one class, but"):
        Classification([one, other])
    image = grey_scene()
    truth = Instances((Instance(BOX, other),), (one,), "a.png")
    assert Detection().solution(Record("row 1", (image,), "Which?", truth)) == truth
    with pytest.raises(InputError, match="expected different names as the categories asked for"):
        Detection().solution(Record("row 1", (image,), "Which?", Instances((), (one, other), "a.png")))


@every_pair
def test_sources_take_them_for_one(tmp_path, one, other):
    assert resolve_categories([other, one], ["cat", one], "a.json") == (one,)
    arguments = coco(tmp_path, one, "cat")
    for source in (COCOSingles, COCODetection, LVISDetection):
        (record,) = source(**arguments, categories=[other])
        assert one in record.problem


@every_pair
@pytest.mark.parametrize("source", [COCOSingles, COCODetection, LVISDetection])
def test_two_categories_of_a_file_that_are_one_are_both_named(tmp_path, source, one, other):
    arguments = coco(tmp_path, one, "cat", other)
    for categories in (None, [one], [other]):
        with pytest.raises(InputError) as caught:
            source(**arguments, categories=categories)
        assert str([one, other]) in str(caught.value)
    (record,) = source(**arguments, categories=["cat"])
    assert "cat" in record.problem


@every_pair
def test_metrics_take_them_for_one(one, other):
    answer = "[{'Position': [10, 10, 50, 50], 'Confidence': 1}]"
    truths = [Instances((Instance(BOX, name),), (name,), f"{name}.png") for name in (one, other)]
    samples = [replace(make_sample(solution=truth, style="answer"), id=str(i)) for i, truth in enumerate(truths)]
    average = COCOAveragePrecision(base=[other])
    average.update(make_completions([answer, "No Objects"]), samples)
    numbers = average.values()
    assert numbers["AP/base"] == numbers[f"AP/class/{one}"] == numbers["AP"]
    assert 0.4 < numbers["AP"] < 0.6
    assert f"AP/class/{other}" not in numbers
    with pytest.raises(ValueError, match="Expected `base` and `novel` to share no category"):
        COCOAveragePrecision(base=[one], novel=[other])
    rare = LVISAveragePrecision({other: "r"})
    rare.update(make_completions([answer, answer]), samples)
    assert rare.values()["LVIS_AP/APr"] == 1
    with pytest.raises(ValueError, match="Expected one frequency of a category, but"):
        LVISAveragePrecision({one: "r", other: "c"})


@every_pair
def test_accuracy_by_class_takes_them_for_one(one, other):
    accuracy = Accuracy(LabelMatch(), "top1")
    samples = [
        replace(make_sample(solution=Label(name), style="answer"), id=str(i)) for i, name in enumerate((one, other))
    ]
    accuracy.update(make_completions([one, "cat"]), samples)
    numbers = accuracy.values()
    assert numbers[f"top1/class/{one}"] == numbers["top1/per_class"] == 0.5


@every_pair
def test_check_names_them_and_counts_them_as_one(one, other):
    rows = [
        SimpleNamespace(part=SimpleNamespace(split="train"), sample=replace(make_sample(Label(name)), id=str(i)))
        for i, name in enumerate((one, "cat", other))
    ]
    collision, counted = check_labels(SimpleNamespace(good=rows))
    assert repr(one) in collision.rows[0]
    assert repr(other) in collision.rows[0]
    assert counted.what == f"2 classes, from 'cat' in 1 rows to {one!r} in 2."

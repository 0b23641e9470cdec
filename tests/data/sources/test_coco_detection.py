from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from PIL import Image

from vrft_pl.answers import Instance, Instances
from vrft_pl.data import COCODetection, Detection
from vrft_pl.policy.coordinates import answer_frame
from vrft_pl.prompts import answer_text
from vrft_pl.rewards import DetectionConfidence, DetectionIoU
from vrft_pl.types import InputError

BCCD = Path(__file__).parents[3] / "../shared/data/bccd"
COCO = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 40, "height": 30},
        {"id": 2, "file_name": "b.png", "width": 40, "height": 30},
        {"id": 3, "file_name": "c.png"},
    ],
    "categories": [{"id": 5, "name": "dog"}, {"id": 7, "name": "hot dog"}, {"id": 9, "name": "cat"}],
    "annotations": [
        {"id": 10, "image_id": 1, "category_id": 9, "bbox": [1, 2, 10.5, 20], "area": 99.5, "iscrowd": 0},
        {"id": 11, "image_id": 2, "category_id": 5, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        {"id": 12, "image_id": 1, "category_id": 5, "bbox": [0, 0, 5, 5], "segmentation": [[0, 0, 5, 0, 5, 5]]},
        {"id": 13, "image_id": 1, "category_id": 5, "bbox": [5, 5, 35.4, 5], "area": None},
        {"id": 14, "image_id": 2, "category_id": 9, "bbox": [0, 0, 30, 30], "area": 7, "iscrowd": 0},
    ],
}


def coco(folder, changes=None, **kwargs):
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 30)).save(folder / name)
    (folder / "coco.json").write_text(json.dumps(COCO | (changes or {})), encoding="utf-8")
    return COCODetection(str(folder / "coco.json"), str(folder), **kwargs)


def with_annotation(**change):
    """The cat of the first picture, changed."""
    return {"annotations": [COCO["annotations"][0] | change, *COCO["annotations"][1:]]}


def asked(source):
    return [(record.answer.image[0], *record.answer.categories) for record in source]


def test_each_category_of_a_picture_is_asked_for_with_all_its_objects(tmp_path):
    source = coco(tmp_path)
    assert [(r.problem, r.answer) for r in source] == [
        (
            "Detect all objects belonging to the category 'dog' in the image.",
            Instances((Instance((0, 0, 5, 5), "dog"), Instance((5, 5, 40, 10), "dog")), ("dog",), "a.png"),
        ),
        (
            "Detect all objects belonging to the category 'cat' in the image.",
            Instances((Instance((1, 2, 11.5, 22), "cat", 99.5),), ("cat",), "a.png"),
        ),
        (
            "Detect all objects belonging to the category 'cat' in the image.",
            Instances((Instance((0, 0, 30, 30), "cat", 7),), ("cat",), "b.png"),
        ),
    ]
    assert source[0].id == f"{tmp_path / 'coco.json'}, image a.png, category dog"
    assert source[0].images[0].path == tmp_path / "a.png"
    assert len({record.id for record in source}) == len(source)


def test_all_categories_are_asked_for_at_once(tmp_path):
    first, second = coco(tmp_path, ask="all")
    assert first.problem == ("Detect all objects belonging to the categories 'dog', 'hot dog', 'cat' in the image.")
    assert first.answer.categories == ("dog", "hot dog", "cat")
    assert [item.category for item in first.answer.items] == ["cat", "dog", "dog"]
    assert [(item.category, item.crowd) for item in second.answer.items] == [("dog", True), ("cat", False)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"negatives": 0}, "ad ac bc", id="one-none"),
        pytest.param({"negatives": 5}, "ad ah ac bh bc cd ch cc", id="one-as-many-as-there-are"),
        pytest.param({"negatives": "all"}, "ad ah ac bd bh bc cd ch cc", id="one-all"),
        pytest.param({"categories": ["dog"], "negatives": 1}, "ad cd", id="one-crowd-is-not-absent"),
        pytest.param({"categories": ["dog"], "negatives": "all"}, "ad bd cd", id="one-crowd-counts-in-evaluation"),
        pytest.param({"ask": "all"}, "adhc bdhc", id="all-none"),
        pytest.param({"ask": "all", "negatives": 1}, "adhc bdhc cdhc", id="all-with-empty-pictures"),
        pytest.param({"ask": "all", "categories": ["dog"], "negatives": 1}, "ad cd", id="all-crowd-is-not-absent"),
        pytest.param({"ask": "all", "categories": ["dog"], "negatives": "all"}, "ad bd cd", id="all-all"),
    ],
)
def test_negatives_are_what_is_absent(tmp_path, options, expected):
    source = coco(tmp_path, **options)
    assert " ".join("".join(part[0] for part in row) for row in asked(source)) == expected
    for i, record in enumerate(source):
        found = {item.category for item in record.answer.items if not item.crowd}
        assert source.classes(i) == tuple(name for name in record.answer.categories if name in found)


def test_the_choice_of_negatives_depends_on_seed_and_picture_alone(tmp_path):
    names = [f"c{i}" for i in range(50)]
    categories = {"categories": [{"id": i, "name": name} for i, name in enumerate(names)], "annotations": []}

    def chosen(images=COCO["images"], **kwargs):
        return asked(coco(tmp_path, categories | {"images": images}, **kwargs))

    three = chosen(negatives=3)
    assert len(three) == 9
    assert chosen(negatives=3) == three
    assert chosen(negatives=3, seed=1) != three
    assert chosen(COCO["images"][::-1], negatives=3) == three[6:] + three[3:6] + three[:3]
    assert {category for _, category in three[:3]} != {category for _, category in three[3:6]}


def test_questions_follow_a_template(tmp_path):
    assert coco(tmp_path, question="Find each {category}!")[0].problem == "Find each dog!"
    assert coco(tmp_path, ask="all", question="{categories}?")[0].problem == "'dog', 'hot dog', 'cat'?"


def test_no_picture_is_opened_before_a_question_is_read(tmp_path):
    source = coco(tmp_path, bad_boxes="drop", negatives="all")
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).unlink()
    assert source.classes(0) == ("dog",)
    with pytest.raises(InputError, match="image a.png: expected a picture at .*a.png, but there is no such file"):
        source[0]


def test_two_ids_of_one_name_are_one_category(tmp_path):
    source = coco(tmp_path, {"categories": [{"id": i, "name": "pet"} for i in (5, 7, 9)]})
    assert [len(record.answer.items) for record in source] == [3, 2]


BAD_BOXES = [
    pytest.param({"bbox": [1, 2, 0, 5]}, "expected a box with x2 > x1 and y2 > y1", id="no-width"),
    pytest.param({"bbox": [1, 2, 5, -5]}, "expected a box with x2 > x1 and y2 > y1", id="negative-height"),
    pytest.param({"bbox": [30, 2, 15, 5]}, "expected a box inside the image of 40 x 30 pixels", id="outside"),
    pytest.param({"bbox": [40, 2, 0.5, 5]}, "expected a box with an area inside the image", id="beyond-the-edge"),
    pytest.param({"bbox": [1e308, 2, 1e308, 5]}, "expected a box", id="overflow"),
    pytest.param(
        {"bbox": [1, 2, 3]}, r"expected `bbox` to be \[x, y, width, height\], but got \[1, 2, 3\]", id="three"
    ),
    pytest.param({"bbox": [1, 2, 3, "4"]}, r"expected `bbox` to be \[x, y, width, height\], but got", id="text"),
    pytest.param({"bbox": [1, 2, True, 4]}, r"expected `bbox` to be \[x, y, width, height\], but got", id="boolean"),
    pytest.param({"bbox": [1, 2, 3, float("nan")]}, r"expected `bbox` to be \[x, y, width, height\]", id="nan"),
    pytest.param({"bbox": [1, 2, 3, 10**400]}, r"expected `bbox` to be \[x, y, width, height\]", id="huge"),
    pytest.param({"bbox": None}, r"expected `bbox` to be \[x, y, width, height\], but got None", id="none"),
]


@pytest.mark.parametrize(("change", "message"), BAD_BOXES)
def test_a_bad_box_stops_its_question_alone(tmp_path, change, message):
    source = coco(tmp_path, with_annotation(**change))
    assert source[0].answer.categories == ("dog",)
    with pytest.raises(InputError, match=rf"coco.json, image a.png, annotation 10: {message}"):
        source[1]


@pytest.mark.parametrize(("change", "message"), BAD_BOXES)
def test_bad_boxes_are_left_out_with_a_warning(tmp_path, change, message):
    with pytest.warns(UserWarning, match=rf"Left out 1 of 5 boxes of .*coco.json. First: .*annotation 10: {message}"):
        source = coco(tmp_path, with_annotation(**change), bad_boxes="drop", negatives=5)
    # neither present nor absent: there is something, but not where the box says
    assert asked(source)[:3] == [("a", "dog"), ("a", "hot dog"), ("b", "hot dog")]
    assert all(record.answer.categories != ("cat",) or record.answer.image != "a.png" for record in source)


def test_boxes_are_checked_in_pictures_of_undeclared_size(tmp_path):
    image = [{"id": i, "file_name": name, "width": 0, "height": 0} for i, name in enumerate(("a.png", "b.png"), 1)]
    with pytest.warns(UserWarning, match="Left out 1 of 5 boxes .*annotation 10: .* of 40 x 30 pixels"):
        coco(tmp_path, with_annotation(bbox=[30, 2, 15, 5]) | {"images": image}, bad_boxes="drop")


def test_one_warning_tells_how_many_boxes_were_left_out(tmp_path):
    bad = [row | {"bbox": [0, 0, 0, 0]} for row in COCO["annotations"][2:4]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        coco(tmp_path, {"annotations": [COCO["annotations"][0], *bad]}, bad_boxes="drop")
    assert [str(w.message)[:22] for w in caught] == ["Left out 2 of 3 boxes "]


def test_boxes_of_categories_that_are_not_asked_for_do_not_matter(tmp_path):
    changes = with_annotation(bbox="?", area="?")
    assert asked(coco(tmp_path, changes, categories=["dog"])) == [("a", "dog")]


def test_annotations_of_another_size_than_the_picture_are_named(tmp_path):
    images = [COCO["images"][0] | {"width": 30, "height": 40}, *COCO["images"][1:]]
    source = coco(tmp_path, {"images": images, "annotations": COCO["annotations"][:1]})
    with pytest.raises(InputError, match="image a.png: expected a picture of 30 x 40 pixels, .* has 40 x 30"):
        source[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            with_annotation(area="9"), "annotation 10: expected `area` in square pixels, but got '9'", id="area"
        ),
        pytest.param(with_annotation(area=-1), "annotation 10: expected `area` in square pixels", id="negative-area"),
        pytest.param(
            with_annotation(iscrowd=2), "annotation 10: expected `iscrowd` to be 0 or 1, but got 2", id="crowd"
        ),
        pytest.param(with_annotation(iscrowd=[]), "annotation 10: expected `iscrowd` to be 0 or 1", id="crowd-list"),
        pytest.param(with_annotation(image_id=[1]), r"`image_id` in `annotations\[0\]` to be a number", id="list-id"),
        pytest.param({"images": [{"id": 1, "file_name": 5}]}, r"`file_name` in `images\[0\]` to be text", id="file"),
        pytest.param(
            {"images": [{"id": 1, "file_name": ""}]}, r"`file_name` in `images\[0\]` to be text", id="no-file"
        ),
        pytest.param({"images": COCO["images"] * 2}, "every image and category to have an `id` of its own", id="twice"),
        pytest.param(
            {"images": [*COCO["images"], {"id": 4, "file_name": "a.png"}]},
            "every picture of .*coco.json to be there once, but 1 are there again",
            id="picture-twice",
        ),
        pytest.param(
            {"images": [row | {"width": "40"} for row in COCO["images"]]},
            "image 1: expected `width` and `height` in whole pixels, but got '40', 30",
            id="width",
        ),
        pytest.param(
            {"images": [row | {"height": -3} for row in COCO["images"]]}, "expected `width` and `height`", id="height"
        ),
        pytest.param({"annotations": []}, "coco.json to hold an object of .*, but it has none", id="nothing"),
        pytest.param({"categories": [{"id": 5, "name": 5}]}, r"`name` in `categories\[0\]` to be text", id="name"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        coco(tmp_path, changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"ask": "some"}, r"Expected `ask` to be one of \['one', 'all', .*\], but got 'some'", id="ask"),
        pytest.param({"bad_boxes": "skip"}, "Expected `bad_boxes` to be one of", id="bad-boxes"),
        pytest.param(
            {"negatives": -1}, "Expected `negatives` to be 0 or more categories or 'all', but got -1", id="few"
        ),
        pytest.param({"negatives": "some"}, "Expected `negatives` to be 0 or more categories or 'all'", id="negatives"),
        pytest.param({"question": "Find all."}, "Expected `question` to hold {category} and no other field", id="none"),
        pytest.param({"question": "{categories}"}, "Expected `question` to hold {category} and no other", id="plural"),
        pytest.param({"question": "{category!r}"}, "Expected `question` to hold {category} and no other", id="repr"),
        pytest.param({"question": "{category"}, "Expected `question` to be a template, but", id="unclosed"),
        pytest.param({"question": "{category}", "ask": "all"}, "Expected `question` to hold {categories}", id="single"),
        pytest.param({"categories": "coco_bass"}, "Expected `categories` to be a list of names or one of", id="split"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        coco(tmp_path, **options)
    assert not isinstance(caught.value, InputError)


def test_rows_beyond_the_last_are_refused(tmp_path):
    with pytest.raises(IndexError, match="Expected a row below 3, but got 3"):
        coco(tmp_path)[3]


needs_bccd = pytest.mark.skipif(not BCCD.is_dir(), reason=f"no BCCD data set in {BCCD}")


def cells(split="val", **kwargs):
    return COCODetection(str(BCCD / f"instances_{split}.json"), str(BCCD / "images"), **kwargs)


@needs_bccd
@pytest.mark.filterwarnings("ignore:Left out 1")
@pytest.mark.parametrize(("split", "pairs", "images"), [("train", 518, 205), ("val", 214, 87)])
def test_questions_about_blood_cells_cover_every_picture(split, pairs, images):
    assert len(cells(split)) == pairs
    every = cells(split, negatives="all", bad_boxes="drop")
    assert len(every) == 3 * images
    assert len({record.answer.image for record in every}) == images
    assert len(cells(split, ask="all", negatives="all")) == images


@needs_bccd
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_blood_cell_of_no_area_is_found(split):
    task = Detection(val={"id": cells(split)}, verify_images=False)
    with pytest.raises(
        InputError, match=rf"instances_{split}.json, image .*, annotation \d+: expected a box with x2 > x1"
    ):
        task.setup("validate")
    with pytest.warns(UserWarning, match=r"Left out 1 of \d+ boxes"):
        source = cells(split, bad_boxes="drop")
    task = Detection(val={"id": source}, verify_images=False)
    task.setup("validate")
    assert len(task.datasets("val")["id"]) == len(source)


@needs_bccd
@pytest.mark.filterwarnings("ignore:Left out 1")
@pytest.mark.parametrize("options", [{"negatives": "all"}, {"ask": "all"}], ids=["one", "all"])
def test_true_answers_about_blood_cells_earn_everything(options):
    source = cells(bad_boxes="drop", **options)
    samples = Detection(val={"id": source}, style="answer", verify_images=False).datasets("val")["id"]
    frame = answer_frame("pixels", (640, 480), None)
    for i in range(len(source)):
        text = answer_text(samples[i], frame)
        for reward in (DetectionIoU(), DetectionConfidence()):
            assert reward.grade_one(text, samples[i], frame) == pytest.approx(1), samples[i].id

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from vrft_pl.answers import Box, Mask
from vrft_pl.data import LISA, Grounding
from vrft_pl.metrics.grounding import paint_target
from vrft_pl.types import InputError

LEFT = [[2, 4], [10, 4], [10, 12], [2, 12]]
RIGHT = [[20.5, 6], [30, 6], [25, 19.5]]
INNER = [[4, 6], [8, 6], [8, 10], [4, 10]]


def shape(points, label="target", **change):
    return {
        "label": label,
        "labels": [label],
        "shape_type": "polygon",
        "image_name": "x.jpg",
        "points": points,
    } | change


def written(folder, name="x", picture=".jpg", encoding="utf-8", **change):
    annotation = {"text": ["What keeps the rain off?"], "is_sentence": True, "shapes": [shape(LEFT)]} | change
    text = json.dumps({k: v for k, v in annotation.items() if v is not ...}, ensure_ascii=False)
    (folder / f"{name}.json").write_bytes(text.encode(encoding))
    if picture:
        Image.new("RGB", (40, 20)).save(folder / f"{name}{picture}")
    return folder


def read(folder, **kwargs):
    return LISA(str(folder), **kwargs)


def test_every_text_of_every_picture_is_a_row(tmp_path):
    written(tmp_path, "b", text=["One?", "Two?"])
    written(tmp_path, "a", text="Only?")
    source = read(tmp_path)
    assert [(r.problem, r.images[0].path.name, r.id) for r in source] == [
        ("Only?", "a.jpg", f"{tmp_path}/a.json, text 0"),
        ("One?", "b.jpg", f"{tmp_path}/b.json, text 0"),
        ("Two?", "b.jpg", f"{tmp_path}/b.json, text 1"),
    ]
    assert len(source) == 3


@pytest.mark.parametrize(
    ("text", "is_sentence", "expected"),
    [
        pytest.param("What keeps the rain off?", True, "What keeps the rain off?", id="sentence"),
        pytest.param("umbrella", False, "Locate the umbrella.", id="phrase"),
        pytest.param(" The part that opens. ", False, "Locate the part that opens.", id="article-and-full-stop"),
        pytest.param("theatre", False, "Locate the theatre.", id="no-article"),
        pytest.param("umbrella", 0, "Locate the umbrella.", id="number"),
        pytest.param("What {is} it?", ..., "What {is} it?", id="not-said-and-braces"),
    ],
)
def test_a_sentence_is_asked_as_it_is_and_a_phrase_in_one(tmp_path, text, is_sentence, expected):
    assert read(written(tmp_path, text=text, is_sentence=is_sentence))[0].problem == expected


def test_questions_can_be_worded_otherwise(tmp_path):
    written(tmp_path, "a", text="umbrella", is_sentence=False)
    written(tmp_path, "b")
    source = read(tmp_path, sentence="{text} Box it.", phrase="Where is the {text}?")
    assert [r.problem for r in source] == ["Where is the umbrella?", "What keeps the rain off? Box it."]


def test_the_box_goes_around_all_targets_and_the_mask_holds_each_shape(tmp_path):
    shapes = [shape(LEFT), shape(INNER, "ignore"), shape(RIGHT), shape([[0, 0], [39, 0], [39, 19]], "Flag")]
    (record,) = read(written(tmp_path, shapes=shapes))
    polygons = tuple(tuple(float(v) for point in points for v in point) for points in (LEFT, RIGHT, INNER))
    assert record.answer == Box((2, 4, 30, 19.5), Mask(polygons[:2], polygons[2:]))
    target, ignored = paint_target(record.answer.mask, 40, 20)
    assert int(ignored.sum()) == 4 * 4
    assert int(target[:, :12].sum()) == 8 * 8 - 4 * 4
    rows, columns = np.nonzero(target | ignored)
    assert (columns.min(), rows.min()) == (2, 4)


@pytest.mark.parametrize(
    ("label", "counts"),
    [("target", True), ("umbrella", True), ("ignore", False), ("Ignored_region", False), ("flag", False)],
)
def test_labels_with_ignore_and_flags_are_no_targets(tmp_path, label, counts):
    (record,) = read(written(tmp_path, shapes=[shape(LEFT), shape(RIGHT, label)]))
    assert record.answer.xyxy == ((2, 4, 30, 19.5) if counts else (2, 4, 10, 12))
    assert len(record.answer.mask.ignored) == ("gnore" in label)


def test_a_rectangle_is_a_shape_of_two_corners(tmp_path):
    (record,) = read(written(tmp_path, shapes=[shape([[10, 12], [2, 4]], shape_type="rectangle")]))
    assert record.answer == Box((2, 4, 10, 12), Mask(((10, 12, 2, 12, 2, 4, 10, 4),)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_files_come_in_the_encodings_of_the_published_ones(tmp_path, encoding):
    source = read(written(tmp_path, text="Who\u2019s at the \u00e9t\u00e9?", encoding=encoding))
    assert source[0].problem == "Who\u2019s at the \u00e9t\u00e9?"


@pytest.mark.parametrize("picture", [".jpg", ".png", ".JPG", ".jpeg"])
def test_the_picture_has_the_name_of_the_file(tmp_path, picture):
    written(tmp_path, "a.b", picture=picture)
    assert read(tmp_path)[0].images[0].open().size == (40, 20)


def test_pictures_may_lie_elsewhere(tmp_path):
    (tmp_path / "pictures").mkdir()
    written(tmp_path, picture=None)
    Image.new("RGB", (40, 20)).save(tmp_path / "pictures" / "x.jpg")
    assert read(tmp_path, image_root=str(tmp_path / "pictures"))[0].images[0].open().size == (40, 20)


def test_grounding_takes_the_rows_in_pixels_whatever_else_it_reads(tmp_path):
    written(tmp_path, shapes=[shape(LEFT), shape([[30, 10], [40.6, 10], [35, 20.9]])])
    for space in ("pixels", "permille", "unit"):
        task = Grounding(annotation_space=space, val={"id": read(tmp_path)})
        solution = task.datasets("val")["id"][0].solution
        assert solution.xyxy == (2, 4, 40, 20)
        assert len(solution.mask.polygons) == 2


def test_a_target_far_outside_its_picture_is_named(tmp_path):
    written(tmp_path, shapes=[shape([[2, 4], [300, 4], [300, 12]])])
    with pytest.raises(InputError, match="x.json, text 0: expected a box inside the image of 40 x 20 pixels, but got"):
        Grounding(val={"id": read(tmp_path)}).setup("validate")


def test_a_missing_picture_is_named(tmp_path):
    written(tmp_path, picture=None)
    with pytest.raises(InputError, match="x.json, text 0: expected a picture at .*x.jpg, but there is no such file"):
        Grounding(val={"id": read(tmp_path)}).setup("validate")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"text": ...}, "x.json: expected `text` to be a question or a list of them, but got None", id="none"
        ),
        pytest.param({"text": []}, r"expected `text` to be a question or a list of them, but got \[\]", id="no-text"),
        pytest.param({"text": ["a", 5]}, "expected `text` to be a question or a list of them, but got", id="number"),
        pytest.param({"text": " "}, "x.json, text 0: expected a question, but it is blank", id="blank"),
        pytest.param(
            {"is_sentence": "yes"}, "expected `is_sentence` to be true or false, but got 'yes'", id="sentence"
        ),
        pytest.param({"shapes": ...}, "x.json: expected a list `shapes`, but got None", id="no-shapes"),
        pytest.param({"shapes": []}, "expected a target among 0 `shapes`, but there is none", id="empty"),
        pytest.param({"shapes": [shape(LEFT, "ignore")]}, "expected a target among 1 `shapes`", id="ignored-only"),
        pytest.param({"shapes": [[1, 2]]}, "expected shape 0 to have a `label`, but got None", id="list"),
        pytest.param({"shapes": [shape(LEFT, 3)]}, "expected shape 0 to have a `label`, but got 3", id="label"),
        pytest.param(
            {"shapes": [shape(LEFT, shape_type="circle")]},
            r"shape 0 \(target\): expected `shape_type` to be polygon or rectangle, but got 'circle'",
            id="circle",
        ),
        pytest.param({"shapes": [shape(None)]}, "expected at least 3 points .*, but got None", id="no-points"),
        pytest.param({"shapes": [shape(LEFT[:2])]}, "expected at least 3 points .*, but got", id="two-points"),
        pytest.param({"shapes": [shape(LEFT[:1], shape_type="rectangle")]}, "expected at least 3 points", id="corner"),
        pytest.param(
            {"shapes": [shape(LEFT), shape([[1, 2], [3, 4], [5]])]},
            r"shape 1 \(target\): expected points \[x, y\] of finite numbers, but got \[5\]",
            id="short-point",
        ),
        pytest.param({"shapes": [shape([[1, 2], [3, 4], [5, "6"]])]}, "points .* but got .5, '6'", id="text-point"),
        pytest.param({"shapes": [shape([[1, 2], [3, 4], [5, True]])]}, "points .* but got .5, True", id="truth-point"),
        pytest.param({"shapes": [shape([[1, 2], [3, 4], [5, float("nan")]])]}, "points .* but got .5, nan", id="nan"),
        pytest.param({"shapes": [shape([[1, 2], [3, 4], [5, 10**400]])]}, "points .* but got .5, 1000", id="huge"),
        pytest.param({"shapes": [shape(INNER[:1], "ignore"), shape(LEFT)]}, r"shape 0 \(ignore\)", id="bad-ignored"),
    ],
)
def test_a_wrong_annotation_is_named_and_can_be_skipped(tmp_path, change, message):
    written(tmp_path, "x", **change)
    written(tmp_path, "y")
    source = read(tmp_path)
    with pytest.raises(InputError, match=message):
        source[0]
    with pytest.warns(UserWarning, match="Skipped 1 of 2 rows of val/id"):
        (samples,) = Grounding(val={"id": source}, on_bad_row="skip").datasets("val").values()
    assert len(samples) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "x.json: expected JSON, but it can't be parsed", id="empty"),
        pytest.param(b'{"text": ["a"', "x.json: expected JSON, but it can't be parsed", id="cut"),
        pytest.param(b"[" * 100_000, "x.json: expected JSON, but it can't be parsed", id="deep"),
        pytest.param(b"[]", "x.json: expected a JSON object, but got a JSON list", id="list"),
        pytest.param(b'{"text": "\x81\xe9"}', "x.json: expected an annotation of LISA, but it can't", id="encoding"),
    ],
)
def test_a_file_that_is_no_annotation_is_named_when_its_row_is_read(tmp_path, content, message):
    written(tmp_path, "y")
    (tmp_path / "x.json").write_bytes(content)
    source = read(tmp_path)
    assert source[1].problem == "What keeps the rain off?"
    with pytest.raises(InputError, match=message):
        source[0]


def test_hidden_files_are_not_read(tmp_path):
    written(tmp_path)
    (tmp_path / "._x.json").write_bytes(b"\x00\x05")
    assert len(read(tmp_path)) == 1


def test_a_file_that_has_gone_is_named(tmp_path):
    source = read(written(tmp_path))
    (tmp_path / "x.json").unlink()
    with pytest.raises(InputError, match="x.json: expected an annotation of LISA, but it can't be read"):
        source[0]


def test_a_folder_without_annotations_is_named(tmp_path):
    with pytest.raises(InputError, match="Expected a folder of LISA's JSON files at .*none, but there is none"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="Expected JSON files of LISA in .*, but there is none"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"phrase": "Locate it."}, "Expected `phrase` to hold {text} once, and no other", id="no-field"),
        pytest.param({"sentence": "{text} {box}"}, "Expected `sentence` to hold {text} once, and no other", id="other"),
        pytest.param({"phrase": "the {text"}, "Expected `phrase` to be a template, but", id="no-template"),
    ],
)
def test_arguments_are_checked(tmp_path, arguments, message):
    written(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(tmp_path, **arguments)

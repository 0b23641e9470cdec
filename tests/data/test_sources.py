from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from vrft_pl.answers import Box
from vrft_pl.data import COCOSingles, Grounding, ReasonJSON
from vrft_pl.types import InputError

BCCD = Path(__file__).parents[2] / "../shared/data/bccd"
ROW = {"id": 7, "image": "a.png", "problem": "<image>How many?", "answer": "3", "cot": "1 2"}
COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    "annotations": [
        {"id": 10, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10.5, 20]},
        {"id": 11, "image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5]},
        {"id": 12, "image_id": 1, "category_id": 2, "bbox": [5, 5, 5, 5]},
        {"id": 13, "image_id": 2, "category_id": 2, "bbox": [0, 0, 30, 30]},
    ],
}


def written(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return str(path)


def reason(folder, *rows, **kwargs):
    return ReasonJSON(written(folder / "rows.json", list(rows)), **kwargs)


def coco(folder, changes=None, **kwargs):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(folder / name)
    return COCOSingles(written(folder / "coco.json", COCO | (changes or {})), str(folder), **kwargs)


def test_a_json_row_becomes_a_record(tmp_path):
    (record,) = reason(tmp_path, ROW)
    assert (record.problem, record.answer, record.cot) == ("How many?", "3", "1 2")
    assert [image.path for image in record.images] == [tmp_path / "a.png"]
    assert record.id.endswith("rows.json, row 0 (id 7)")


def test_jsonl_holds_the_same_rows(tmp_path):
    lines = "\n\n".join(json.dumps({**ROW, "id": i}) for i in range(3)) + "\r\n"
    source = ReasonJSON(written(tmp_path / "rows.jsonl", lines))
    assert len(source) == 3
    assert source[2].id.endswith("rows.jsonl, row 2 (id 2)")


def test_a_line_of_jsonl_ends_at_a_line_feed_alone(tmp_path):
    line = json.dumps({**ROW, "problem": "How\u2028many\x85?"}, ensure_ascii=False)
    (record,) = ReasonJSON(written(tmp_path / "rows.jsonl", line))
    assert record.problem == "How\u2028many\x85?"


def test_a_byte_order_mark_is_no_part_of_the_rows(tmp_path):
    assert len(ReasonJSON(written(tmp_path / "rows.json", "\ufeff" + json.dumps([ROW])))) == 1


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param("a.png", ["a.png"], id="path"),
        pytest.param({"path": "a.png"}, ["a.png"], id="object"),
        pytest.param(["a.png", {"path": "b.png"}], ["a.png", "b.png"], id="list"),
        pytest.param([], [], id="empty-list"),
        pytest.param(None, [], id="none"),
    ],
)
@pytest.mark.parametrize("key", ["image", "images"])
def test_pictures_are_named_in_several_ways(tmp_path, key, image, expected):
    (record,) = reason(tmp_path, {"problem": "?", "answer": 1, key: image}, image_root=str(tmp_path / "root"))
    assert [i.path.relative_to(tmp_path / "root").as_posix() for i in record.images] == expected


def test_the_answer_may_be_called_solution_and_be_zero(tmp_path):
    assert [r.answer for r in reason(tmp_path, {"problem": "?", "solution": 0}, ROW)] == [0, "3"]


@pytest.mark.parametrize("key", ["options", "choices"])
def test_a_row_tells_its_options_system_prompt_and_tags(tmp_path, key):
    row = {**ROW, key: ["3 cm", "4 cm"], "system": "Be brief.", "tags": ["geo", "hard"]}
    full, plain, empty = reason(tmp_path, row, ROW, {**ROW, key: [], "system": "", "tags": None})
    assert (full.options, full.system, full.tags) == (("3 cm", "4 cm"), "Be brief.", ("geo", "hard"))
    for record in (plain, empty):
        assert (record.options, record.system, record.tags) == ((), None, ())


def test_a_picture_under_one_key_is_found_where_the_other_is_null(tmp_path):
    (record,) = reason(tmp_path, {**ROW, "image": None, "images": ["b.png"]})
    assert [image.path for image in record.images] == [tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("rows.json", "", "Expected at least one row in .*rows.json, but it is empty", id="empty"),
        pytest.param("rows.jsonl", "\n \n", "Expected at least one row in .*rows.jsonl, but it is empty", id="blank"),
        pytest.param("rows.json", "[]", "Expected at least one row in .*rows.json, but it is empty", id="empty-list"),
        pytest.param("rows.json", "[{", "Expected JSON in .*rows.json, but it can't be parsed", id="cut"),
        pytest.param("rows.jsonl", "{}\n\n{", "Expected JSON in line 3 of .*rows.jsonl, but it can't", id="cut-line"),
        pytest.param("rows.jsonl", "{}\n" + "[" * 100_000, "Expected JSON in line 2 of .*rows.jsonl", id="deep-line"),
        pytest.param("rows.json", "[" * 100_000, "Expected JSON in .*rows.json, but it can't be parsed", id="deep"),
        pytest.param("rows.json", f"[{'9' * 5000}]", "Expected JSON in .*, but it can't be parsed", id="huge-number"),
        pytest.param(
            "rows.json", "{}", "Expected .*rows.json to hold a list of rows, but got a JSON dict", id="object"
        ),
        pytest.param(
            "rows.json", "[{}, 5]", "Expected row 1 of .*rows.json to be a JSON object, but got '5'", id="row"
        ),
        pytest.param(
            "rows.jsonl", "[]", r"Expected row 0 of .*rows.jsonl to be a JSON object, but got '\[\]'", id="line"
        ),
    ],
)
def test_a_file_of_another_shape_is_named(tmp_path, name, content, message):
    path = written(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        ReasonJSON(path)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("<image>\n<image>How many?", "How many?"),
        ("How many?", "How many?"),
        ("From <image> to <image>?", "From <image> to <image>?"),
        ("<image>First, <image>second.", "<image>First, <image>second."),
    ],
)
def test_pictures_stay_where_a_question_has_them(tmp_path, problem, expected):
    (record,) = reason(tmp_path, ROW | {"image": ["a.png", "b.png"], "problem": problem})
    assert record.problem == expected
    assert [image.path.name for image in record.images] == ["a.png", "b.png"]


@pytest.mark.parametrize("read", [ReasonJSON, lambda path: COCOSingles(path, ".")], ids=["reason", "coco"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, read):
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    for name in ("none.json", "latin.json", "."):
        with pytest.raises(InputError, match="Expected a .* file .*, but it can't be read"):
            read(str(tmp_path / name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"problem": None}, "expected a value for `problem`, but got None", id="no-problem"),
        pytest.param({"problem": ""}, "expected a value for `problem`, but got ''", id="empty-problem"),
        pytest.param({"problem": " <image>"}, "expected a question in `problem`, but got ' <image>'", id="no-question"),
        pytest.param(
            {"problem": "<image> to <image>?"},
            "expected `<image>` once for each of 1 pictures, but got 2. W",
            id="markers",
        ),
        pytest.param({"problem": "\ud800?"}, "expected `problem` to be a string, but got", id="half-a-character"),
        pytest.param(
            {"answer": "\udfff"}, "expected `answer` to be a string, but got", id="answer-of-half-a-character"
        ),
        pytest.param({"options": "A"}, "expected `options` to be a list of strings, but got 'A'", id="options"),
        pytest.param(
            {"choices": [1, 2]}, r"expected `choices` to be a list of strings, but got \[1, 2\]", id="choices"
        ),
        pytest.param({"tags": ["a", None]}, "expected `tags` to be a list of strings, but got", id="tags"),
        pytest.param({"tags": {"a": 1}}, "expected `tags` to be a list of strings, but got", id="tags-of-wrong-type"),
        pytest.param({"system": ["Be brief."]}, "expected `system` to be a string, but got", id="system"),
        pytest.param({"problem": 5}, "expected `problem` to be a string, but got 5", id="problem-of-wrong-type"),
        pytest.param({"answer": None}, "expected a value for `answer`, but got None", id="no-answer"),
        pytest.param({"answer": ""}, "expected a value for `answer`, but got ''", id="empty-answer"),
        pytest.param({"cot": ["1"]}, r"expected `cot` to be a string, but got \['1'\]", id="cot-of-wrong-type"),
        pytest.param({"image": 5}, "expected `image` to be a path or a list of paths, but got 5", id="image-number"),
        pytest.param({"image": ""}, "expected `image` to be a path or a list of paths, but got ''", id="image-empty"),
        pytest.param({"image": {"url": "x"}}, "expected `image` to be a path or a list of paths", id="image-object"),
    ],
)
def test_a_wrong_row_is_named_with_file_and_row(tmp_path, change, message):
    source = reason(tmp_path, ROW, {**ROW, **change})
    assert source[0].answer == "3"
    with pytest.raises(InputError, match=rf"rows.json, row 1 \(id 7\): {message}"):
        source[1]


def test_a_missing_key_is_named_with_the_row(tmp_path):
    with pytest.raises(InputError, match="rows.json, row 0: expected a value for `problem`, but got None"):
        reason(tmp_path, {"answer": 1})[0]
    with pytest.raises(InputError, match="rows.json, row 0: expected a value for `solution`, but got None"):
        reason(tmp_path, {"problem": "?"})[0]


def test_categories_that_occur_once_are_asked_for(tmp_path):
    source = coco(tmp_path)
    assert [(r.problem, r.answer) for r in source] == [
        ("Locate the dog.", Box((1, 2, 11.5, 22))),
        ("Locate the cat.", Box((0, 0, 30, 30))),
    ]
    assert source[0].id.endswith("coco.json, annotation 10")
    assert source[1].images[0].path == tmp_path / "b.png"


def test_categories_and_question_can_be_chosen(tmp_path):
    source = coco(tmp_path, categories=["cat"], question="Where is the {category}?")
    assert [r.problem for r in source] == ["Where is the cat?"]
    animals = {"categories": [{"id": 1, "name": "mouse"}, {"id": 2, "name": "dog"}]}
    with pytest.raises(InputError, match=r"among \['dog', 'mouse'\], but got \['fork', 'hot dog'"):
        coco(tmp_path, animals, categories="coco_novel")
    with pytest.raises(ValueError, match="Expected `categories` to be a list of names or one of"):
        coco(tmp_path, categories="coco_bass")


def test_crowds_are_left_out_unless_asked_for(tmp_path):
    crowd = COCO["annotations"][:3] + [COCO["annotations"][3] | {"iscrowd": 1}]
    assert len(coco(tmp_path, {"annotations": crowd})) == 1
    assert len(coco(tmp_path, {"annotations": crowd}, exclude_crowd=False)) == 2


def first(part, **change):
    return {part: [COCO[part][0] | change, *COCO[part][1:]]}


def without(part, key):
    return {part: [{k: v for k, v in COCO[part][0].items() if k != key}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"images": None}, "to be a COCO instances file, but it has no list `images`", id="no-images"),
        pytest.param({"annotations": {}}, "COCO instances file, but it has no list `annotations`", id="wrong-shape"),
        pytest.param(
            {"categories": [5]}, r"coco.json: expected `id` in `categories\[0\]`, but it is missing", id="number"
        ),
        pytest.param(without("images", "file_name"), r"expected `file_name` in `images\[0\]`", id="no-file-name"),
        pytest.param(without("annotations", "bbox"), r"expected `bbox` in `annotations\[0\]`", id="no-box"),
        pytest.param(without("categories", "name"), r"expected `name` in `categories\[0\]`", id="no-name"),
        pytest.param(first("annotations", image_id=9), "annotation 10 names an image or category that", id="image"),
        pytest.param(
            first("annotations", category_id=9), "annotation 10 names an image or category that", id="category"
        ),
        pytest.param({"annotations": []}, "to hold a category that occurs once in an image, but none does", id="none"),
    ],
)
def test_a_file_that_is_not_coco_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        coco(tmp_path, changes)


def test_a_list_is_no_coco_file(tmp_path):
    with pytest.raises(InputError, match="coco.json to be a COCO instances file, but it has no list `images`"):
        COCOSingles(written(tmp_path / "coco.json", []), str(tmp_path))


def test_an_unknown_category_is_named_beside_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"to be among \['cat', 'dog'\], but got \['horse'\]"):
        coco(tmp_path, categories=["dog", "horse"])


@pytest.mark.parametrize("box", [None, [1, 2, 3], [1, 2, 3, "4"], "1 2 3 4"], ids=str)
def test_a_malformed_box_is_named_with_its_annotation(tmp_path, box):
    source = coco(tmp_path, first("annotations", bbox=box))
    with pytest.raises(InputError, match=r"annotation 10: expected `bbox` to be \[x, y, width, height\], but got"):
        source[0]


@pytest.mark.parametrize("box", [[1, 2, 0, 5], [1, 2, 5, -5]], ids=str)
def test_a_box_without_area_is_named_with_its_annotation(tmp_path, box):
    task = Grounding(val={"id": coco(tmp_path, first("annotations", bbox=box))})
    with pytest.raises(InputError, match="coco.json, annotation 10: expected a box with x2 > x1 and y2 > y1, but got"):
        task.setup("validate")


@pytest.mark.skipif(not BCCD.is_dir(), reason="needs the BCCD data set in ../shared/data")
def test_blood_cells_load_with_every_box_inside_its_picture():
    source = COCOSingles(str(BCCD / "instances_val.json"), str(BCCD / "images"))
    task = Grounding(val={"id": source}, on_bad_row="skip")
    (samples,) = task.datasets("val").values()
    assert len(samples) + len(task.skipped.get("val/id", [])) == len(source) > 50
    for i in range(len(samples)):
        x1, y1, x2, y2 = samples[i].solution.xyxy
        assert 0 <= x1 < x2 <= 640
        assert 0 <= y1 < y2 <= 480
    assert isinstance(samples[0].solution, Box)
    assert samples[0].images[0].open().size == (640, 480)

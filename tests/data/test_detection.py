from __future__ import annotations

import json
import time

import pytest
from builders import grey_scene, make_record
from PIL import Image

from vrft_pl.answers import Instance, Instances
from vrft_pl.data import Detection, Record
from vrft_pl.data.images import FileImage
from vrft_pl.policy.coordinates import answer_frame
from vrft_pl.prompts import answer_text
from vrft_pl.rewards import DetectionConfidence, DetectionIoU
from vrft_pl.types import InputError, Sample

QUESTION = (
    "Detect all objects belonging to the category 'hot dog' in the image, and provide the bounding boxes (between 0 "
    "and 1000, integer) and confidence (between 0 and 1, with two decimal places).\nIf no object belonging to the "
    "category 'hot dog' in the image, return 'No Objects'."
)
BOXES = [{"Position": [0, 250, 500, 1000], "Confidence": 1}, {"Position": [500, 0, 1000, 250], "Confidence": 0.5}]
DOG = Instance((2.0, 3.0, 30.0, 40.0), "dog", 77.0)


def written(answer, question=QUESTION, size=64):
    return Record("rows.json, row 7", (grey_scene(size),), question, answer)


def typed(*items, categories=("dog",), image="a.jpg", **kwargs):
    return make_record(Instances(tuple(items), categories, image, **kwargs))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(BOXES, id="list"),
        pytest.param(json.dumps(BOXES), id="json"),
        pytest.param(str(BOXES), id="python"),
        pytest.param(f"<answer>{BOXES}</answer>", id="visual-rft"),
        pytest.param(f"<think>Two.</think>\n<answer>\n{BOXES}\n</answer>\n", id="with-thoughts"),
    ],
)
def test_a_written_solution_is_read_in_its_space(answer):
    solution = Detection("permille").solution(written(answer))
    items = (Instance((0, 16, 32, 64), "hot dog"), Instance((32, 0, 64, 16), "hot dog"))
    assert solution == Instances(items, ("hot dog",), "rows.json, row 7")


@pytest.mark.parametrize("answer", ["No Objects", "<answer>No Objects</answer>", " no objects. ", "[]", []], ids=str)
def test_nothing_to_find_is_a_solution(answer):
    assert Detection("permille").solution(written(answer)) == Instances((), ("hot dog",), "rows.json, row 7")


def test_the_category_is_found_by_a_pattern():
    task = Detection(category_pattern=r"every (\w+)\b")
    assert task.solution(written("[]", "Find every dog.")) == Instances((), ("dog",), "rows.json, row 7")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        pytest.param("(", r"Expected `category_pattern` to be a regular expression, but '\(' is none", id="unclosed"),
        pytest.param("dog", "Expected `category_pattern` to have one group, but got 'dog'", id="no-group"),
        pytest.param("(a)(b)", "Expected `category_pattern` to have one group", id="two-groups"),
    ],
)
def test_a_wrong_pattern_is_named(pattern, message):
    with pytest.raises(ValueError, match=message):
        Detection(category_pattern=pattern)


@pytest.mark.parametrize(
    "question",
    ["Find every dog.", "", "The category ''.", "The category ' ' .", "The category 'a' or the category 'b'."],
)
def test_a_question_that_names_no_one_category_is_wrong(question):
    with pytest.raises(InputError, match="rows.json, row 7: expected the question to name one category, as"):
        Detection().solution(written("[]", question))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(None, "expected the answer to be a list of .* or No Objects, but got 'None'", id="none"),
        pytest.param("", "expected the answer to be a list of", id="empty"),
        pytest.param("A dog.", "expected the answer to be a list of .*, but got 'A dog.'", id="text"),
        pytest.param(5, "expected the answer to be a list of", id="number"),
        pytest.param("{'Position': [1, 2, 3, 4]}", "expected the answer to be a list of", id="object"),
        pytest.param("[" * 50_000, "expected the answer to be a list of", id="brackets"),
        pytest.param("-" * 50_000, "expected the answer to be a list of", id="minus-signs"),
        pytest.param("[1" + "+1" * 40_000 + "]", "expected the answer to be a list of", id="sums"),
        pytest.param("{[]: 1}", "expected the answer to be a list of", id="unhashable"),
        pytest.param("\0", "expected the answer to be a list of", id="nul"),
        pytest.param("<answer>" * 10_000, "expected the answer to be a list of", id="tags"),
        pytest.param(f"[{'9' * 5000}]", "expected the answer to be a list of", id="huge-number"),
        pytest.param(f"[{' ' * 100_000}]", "expected the answer to be a list of", id="too-long"),
        pytest.param("__import__('os')", "expected the answer to be a list of", id="code"),
        pytest.param([[1, 2, 3, 4]], "expected `Position` in every entry of the answer, but got", id="bare-box"),
        pytest.param([{"bbox": [1, 2, 3, 4]}], "expected `Position` in every entry of the answer", id="key"),
        pytest.param([{"Position": [1, 2, 3]}], r"expected a box \[x1, y1, x2, y2\], but got", id="three"),
        pytest.param("[{'Position': [1, 2, '3', 4]}]", r"expected a box \[x1, y1, x2, y2\], but got", id="text-in-box"),
        pytest.param('[{"Position": [1, 2, NaN, 4]}]', r"expected a box \[x1, y1, x2, y2\], but got", id="nan"),
        pytest.param([{"Position": [5, 2, 5, 9]}], "expected a box with x2 > x1 and y2 > y1", id="no-area"),
        pytest.param(
            [{"Position": [1, 2, 1100, 9]}], "expected a box inside the image of 64 x 64 pixels", id="outside"
        ),
    ],
)
def test_a_wrong_written_solution_is_named_in_time(answer, message):
    start = time.perf_counter()
    with pytest.raises(InputError, match=f"rows.json, row 7: {message}") as caught:
        Detection("permille").solution(written(answer))
    assert len(str(caught.value)) < 500
    assert time.perf_counter() - start < 5


def test_a_typed_solution_is_in_pixels_whatever_the_space():
    record = typed(DOG, replaced(xyxy=(-0.5, 3, 64.5, 64)), not_exhaustive=("dog",))
    solution = Detection("permille").solution(record)
    assert solution == Instances((DOG, replaced(xyxy=(0, 3, 64, 64))), ("dog",), "a.jpg", ("dog",))


def replaced(**change):
    return Instance(**{"xyxy": DOG.xyxy, "category": "dog", "area": 77.0} | change)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param(typed(categories=()), "expected different names as the categories asked for, but got", id="none"),
        pytest.param(typed(categories=("dog", "Dog")), r"expected different names .* \['dog', 'Dog'\]", id="twice"),
        pytest.param(typed(categories=("dog", " ")), "expected different names as the categories asked", id="blank"),
        pytest.param(typed(image=""), "expected the name of the picture in the answer, but it is empty", id="image"),
        pytest.param(typed(replaced(category="cat")), r"expected objects of \['dog'\], but got \['cat'\]", id="other"),
        pytest.param(typed(DOG, replaced(xyxy=(5, 5, 5, 9))), "expected a box with x2 > x1 and y2 > y1", id="no-area"),
        pytest.param(typed(replaced(xyxy=(5, 5, 70, 9))), "expected a box inside the image of 64 x 64", id="outside"),
        pytest.param(typed(replaced(xyxy=(5, 5, 9))), r"expected a box \[x1, y1, x2, y2\], but got", id="three"),
        pytest.param(make_record(Instances((), ("dog",), "a"), images=2), "expected one picture for boxes", id="two"),
        pytest.param(make_record("[]", images=0), "expected one picture for boxes, but got 0", id="no-picture"),
    ],
)
def test_a_wrong_typed_solution_is_named(record, message):
    with pytest.raises(InputError, match=f"rows.json, row 7: {message}"):
        Detection().solution(record)


def test_a_picture_is_measured_once_for_all_its_boxes(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    record = Record("row", (FileImage(tmp_path / "a.png", "row"),), QUESTION, typed(*[DOG] * 20).answer)
    measured = []
    size = FileImage.size
    monkeypatch.setattr(FileImage, "size", lambda image: measured.append(image) or size(image))
    assert len(Detection().solution(record).items) == 20
    assert len(measured) == 1


def test_pictures_on_disk_are_told_apart_by_their_file(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    record = Record("row", (FileImage(tmp_path / "a.png", "row"),), QUESTION, "[]")
    assert Detection().solution(record).image == (tmp_path / "a.png").as_posix()


@pytest.mark.parametrize("answer", [str(BOXES), "No Objects"], ids=["boxes", "nothing"])
@pytest.mark.parametrize("reward", [DetectionIoU(), DetectionConfidence()], ids=["iou", "confidence"])
def test_the_true_answer_earns_everything(answer, reward):
    record = written(answer)
    sample = Sample(record.id, record.images, record.problem, Detection("permille").solution(record), style="answer")
    for space in ("permille", "pixels", "unit"):
        frame = answer_frame(space, (64, 64), None)
        assert reward.grade_one(answer_text(sample, frame), sample, frame) == pytest.approx(1)

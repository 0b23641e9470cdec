from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from builders import make_completions
from metrics.detections import (
    answered,
    coco_dataset,
    coco_results,
    made_up,
    perturbed,
    question,
    run_pycocotools,
    write,
)

from vrft_pl.answers import AnswerFrame, Instance
from vrft_pl.metrics import COCOAveragePrecision

BCCD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bccd" / "instances_val.json"
LEFT, RIGHT, ELSEWHERE = (0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 300.0, 100.0), (0.0, 300.0, 100.0, 400.0)
DOG, CAT = Instance(LEFT, "dog"), Instance(RIGHT, "cat")


def judge(metric, *cases):
    """Judge ``(sample, text)`` in one batch."""
    metric.update(answered([text for _, text in cases]), [sample for sample, _ in cases])
    return read(metric)


def read(metric):
    return {name: value.item() for name, value in metric.values().items()}


def test_average_precision_by_hand():
    """Two objects; a hit, a false alarm, a hit by decreasing confidence: precision 1 up to recall 0.5, then 2/3."""
    truth = question("1", "a", [DOG, Instance(RIGHT, "dog")], ["dog"])
    text = write([(LEFT, 0.9, "dog"), (ELSEWHERE, 0.8, "dog"), (RIGHT, 0.7, "dog")])
    numbers = judge(COCOAveragePrecision(), (truth, text))
    expected = (51 + 50 * 2 / 3) / 101
    assert numbers["AP"] == pytest.approx(expected)
    assert numbers["AP/class/dog"] == pytest.approx(expected)
    assert numbers["AP/APl"] == pytest.approx(expected)
    assert "AP/APs" not in numbers


def test_looser_boxes_are_found_at_lower_thresholds_only():
    loose = write([((0, 0, 100, 82), 1.0, "dog")])
    numbers = judge(COCOAveragePrecision(), (question("1", "a", [DOG], ["dog"]), loose))
    assert (numbers["AP"], numbers["AP/AP50"], numbers["AP/AP75"]) == pytest.approx((0.7, 1, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("no list", {"AP": 0.0, "AP/dropped": 0, "parse_failures/AP": 1}, id="unread"),
        pytest.param("No Objects", {"AP": 0.0, "AP/dropped": 0, "parse_failures/AP": 0}, id="no-objects"),
        pytest.param(
            "[[0, 0, 100, 100], [9, 9, 1, 1]]", {"AP": 1.0, "AP/dropped": 1, "parse_failures/AP": 0}, id="no-box"
        ),
        pytest.param(
            write([(LEFT, 0.5, "dog"), ((500, 500, 600, 600), 0.9, "dog")]),
            {"AP": 1.0, "AP/dropped": 1, "parse_failures/AP": 0},
            id="dropped-though-confident",
        ),
        pytest.param(
            write([((-50, -50, 100, 100), 0.5, "dog")]),
            {"AP": 1.0, "AP/dropped": 0, "parse_failures/AP": 0},
            id="cut-at-the-edges",
        ),
    ],
)
def test_what_is_no_box_in_the_image_is_counted_apart(text, expected):
    numbers = judge(COCOAveragePrecision(), (question("1", "a", [DOG], ["dog"]), text))
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)


def test_a_confidence_is_limited_and_1_where_none_is_given():
    truth = question("1", "a", [DOG], ["dog"])
    for wrong, right, expected in (("7", "1.0", 0.5), ("0.9", None, 1.0), (None, "0.9", 0.5), ("-1", "0.0", 0.5)):
        entries = [
            f"{{'bbox': {list(box)}" + (f", 'score': {score}}}" if score else "}")
            for box, score in ((ELSEWHERE, wrong), (LEFT, right))
        ]
        assert judge(COCOAveragePrecision(), (truth, f"[{', '.join(entries)}]"))["AP"] == pytest.approx(expected)


def test_every_image_in_which_a_category_was_asked_for_counts():
    """The published evaluation asks only where another model had found the category."""
    found = (question("1", "a", [DOG], ["dog"]), write([(LEFT, 0.5, "dog")]))
    missed = (question("2", "b", [DOG], ["dog"]), "No Objects")
    false_alarm = (question("3", "c", [], ["dog"]), write([(LEFT, 0.9, "dog")]))
    assert judge(COCOAveragePrecision(), found)["AP"] == 1
    assert judge(COCOAveragePrecision(), found, missed)["AP"] == pytest.approx(51 / 101)
    assert judge(COCOAveragePrecision(), found, false_alarm)["AP"] == pytest.approx(0.5)


def test_objects_of_categories_not_asked_for_are_not_there():
    numbers = judge(COCOAveragePrecision(), (question("1", "a", [DOG, CAT], ["dog"]), write([(LEFT, 0.5, "dog")])))
    assert (numbers["AP"], "AP/class/cat" in numbers) == (1, False)


def test_questions_about_one_image_are_merged():
    apart = [
        (question("1", "a", [DOG], ["dog"]), write([(LEFT, 0.5, "brown dogs")])),
        (question("2", "a", [CAT], ["cat"]), write([(RIGHT, 0.4, "cat"), (LEFT, 0.8, "cat")])),
    ]
    boxes = [(LEFT, 0.5, "dog"), (RIGHT, 0.4, "cat"), (LEFT, 0.8, "cat")]
    together = (question("1", "a", [DOG, CAT], ["dog", "cat"]), write(boxes))
    numbers, expected = judge(COCOAveragePrecision(), *apart), judge(COCOAveragePrecision(), together)
    assert numbers == pytest.approx(expected)
    assert numbers["AP/dropped"] == 0
    assert numbers["AP/class/cat"] == pytest.approx(0.5)


def test_boxes_of_categories_not_asked_for_are_dropped():
    text = write([(LEFT, 0.5, "dog"), (LEFT, 0.9, "bird"), (RIGHT, 0.5, "cat")])
    numbers = judge(COCOAveragePrecision(), (question("1", "a", [DOG, CAT], ["dog", "cat"]), text))
    assert (numbers["AP"], numbers["AP/dropped"]) == (1, 1)


def test_a_category_asked_for_twice_in_an_image_counts_once():
    samples = [question(name, "a", [DOG], ["dog"]) for name in ("1", "2")]
    texts = [write([(LEFT, 0.5, "dog")]), "No Objects"]
    assert judge(COCOAveragePrecision(), *zip(samples, texts, strict=True))["AP"] == 1


def test_ties_between_images_are_broken_by_their_names():
    text = write([(LEFT, 0.5, "dog")])
    for first, second in (("1", "2"), ("2", "1")):
        cases = [(question(first, "a", [DOG], ["dog"]), text), (question(second, "b", [], ["dog"]), text)]
        assert judge(COCOAveragePrecision(), *cases)["AP"] == 1


@pytest.mark.parametrize("ids", [(9, 10), ("10", "9"), (3, "2"), ("z", None)])
def test_ties_between_images_are_broken_by_their_ids_where_they_have_any(ids):
    text, first, second = write([(LEFT, 0.5, "dog")]), *ids
    right = question("2", "b.jpg", [DOG], ["dog"], image_id=first), text
    wrong = question("1", "a.jpg", [], ["dog"], image_id=second), text
    assert judge(COCOAveragePrecision(), right, wrong)["AP"] == judge(COCOAveragePrecision(), wrong, right)["AP"] == 1
    right = question("2", "b.jpg", [DOG], ["dog"], image_id=second), text
    wrong = question("1", "a.jpg", [], ["dog"], image_id=first), text
    assert judge(COCOAveragePrecision(), right, wrong)["AP"] == 0.5


def test_several_completions_of_a_question_count_each():
    sample = question("1", "a", [DOG], ["dog"])
    numbers = judge(COCOAveragePrecision(), (sample, write([(LEFT, 0.5, "dog")])), (sample, "No Objects"))
    assert numbers["AP"] == pytest.approx(51 / 101)


def test_base_and_novel_categories_have_means_of_their_own():
    answer = write([(LEFT, 0.5, "dog"), (LEFT, 0.5, "cow")])
    truth = question("1", "a", [DOG, CAT, Instance(ELSEWHERE, "cow")], ["dog", "cat", "cow", "emu"])
    metric = COCOAveragePrecision(base=["dog", "cat"], novel=["cow", "emu"], per_class=False, name="ovd")
    numbers = judge(metric, (truth, answer))
    shares = {name: value for name, value in numbers.items() if "AP" not in name}
    expected = {"ovd": 1 / 3, "ovd/base": 0.5, "ovd/novel": 0.0, "ovd/dropped": 0, "parse_failures/ovd": 0}
    assert shares == pytest.approx(expected)
    assert "AP/base" not in judge(COCOAveragePrecision(novel=["cow"]), (truth, answer))


def test_categories_without_a_truth_have_no_average_precision():
    for text in ("No Objects", write([(LEFT, 0.5, "dog")])):
        numbers = judge(COCOAveragePrecision(base=["dog"]), (question("1", "a", [], ["dog"]), text))
        assert numbers == {"AP/dropped": 0, "parse_failures/AP": 0}
    assert COCOAveragePrecision().values() == {}


def test_a_box_on_a_crowd_counts_neither_for_nor_against():
    crowd = Instance((0.0, 200.0, 400.0, 400.0), "dog", crowd=True)
    answer = write([(ELSEWHERE, 0.9, "dog"), (LEFT, 0.5, "dog")])
    assert judge(COCOAveragePrecision(), (question("1", "a", [DOG, crowd], ["dog"]), answer))["AP"] == 1
    assert judge(COCOAveragePrecision(), (question("1", "a", [DOG], ["dog"]), answer))["AP"] == pytest.approx(0.5)


def test_sizes_go_by_the_area_of_the_object():
    thin = Instance(LEFT, "dog", area=500.0)
    numbers = judge(COCOAveragePrecision(), (question("1", "a", [thin], ["dog"]), write([(LEFT, 0.5, "dog")])))
    assert {"AP/APs", "AP/APm", "AP/APl"} & numbers.keys() == {"AP/APs"}


def test_a_category_is_not_both_base_and_novel():
    message = r"Expected `base` and `novel` to share no category, but both hold \['dog'\]"
    with pytest.raises(ValueError, match=message):
        COCOAveragePrecision(base=["dog", "cat"], novel=["dog"])


def test_nothing_is_printed(capfd):
    judge(COCOAveragePrecision(), (question("1", "a", [DOG], ["dog"]), write([(LEFT, 0.5, "dog")])))
    assert capfd.readouterr().out == ""


def assert_agreement(numbers, oracle, per_class):
    assert numbers["AP"] == pytest.approx(oracle[""], abs=1e-6)
    for name, value in oracle.items():
        assert numbers.get(f"AP{name}", -1) == pytest.approx(value, abs=1e-6)
    for name, value in per_class.items():
        assert numbers.get(f"AP/class/{name}", -1) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("together", [True, False], ids=["one-question-an-image", "one-question-a-category"])
def test_random_detections_agree_with_pycocotools(together):
    rng, categories = np.random.default_rng(0), ["ant", "bee", "cow", "emu"]
    truths = [made_up(rng, categories[:3], int(rng.integers(0, 9))) for _ in range(30)]
    answers = [perturbed(rng, items, categories, extra=3) for items in truths]
    # above the limit of 100 boxes, but short enough to be read
    answers[0] += perturbed(rng, truths[0], categories, extra=115 if together else 600)
    cases = []
    for i, (items, boxes) in enumerate(zip(truths, answers, strict=True)):
        # names of images sort like their numbers in the oracle
        for asked in [categories] if together else [[category] for category in categories]:
            kept = [item for item in items if item.category in asked]
            text = write([box for box in boxes if box[2] in asked])
            cases.append((question(f"{i} {asked}", f"image {i:03d}", kept, asked), text))
    split = [cases[i] for i in rng.permutation(len(cases))]
    metric = COCOAveragePrecision()
    for start in range(0, len(split), 7):
        judge(metric, *split[start : start + 7])
    numbers = read(metric)
    assert_agreement(numbers, *run_pycocotools(coco_dataset(truths, categories), coco_results(answers, categories)))
    assert "AP/class/emu" not in numbers


@pytest.mark.skipif(not BCCD.exists(), reason=f"needs {BCCD}")
def test_perturbed_annotations_of_blood_cells_agree_with_pycocotools():
    dataset, rng, metric = json.loads(BCCD.read_text()), np.random.default_rng(1), COCOAveragePrecision()
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    results = []
    for image in sorted(dataset["images"], key=lambda image: image["id"]):
        objects = [a for a in dataset["annotations"] if a["image_id"] == image["id"]]
        boxes, limits = [], (image["width"], image["height"])
        for annotation in objects:
            x, y, width, height = annotation["bbox"]
            corners = np.array([x, y, x + width, y + height]) + rng.normal(0, 0.1, 4) * (width, height, width, height)
            boxes.append(
                (np.clip(corners, 0, limits * 2), rng.random(), names[int(rng.choice([annotation["category_id"], 1]))])
            )
        boxes = [box for box in boxes if (box[0][2:] > box[0][:2]).all()]
        items = [
            Instance((x, y, x + w, y + h), names[a["category_id"]], a["area"])
            for a in objects
            for x, y, w, h in [a["bbox"]]
        ]
        sample = question(str(image["id"]), f"{image['id']:06d}", items, list(names.values()))
        metric.update(make_completions([write(boxes)], AnswerFrame(*limits, 1.0, 1.0)), [sample])
        numbered = {name: number for number, name in names.items()}
        results += [
            {
                "image_id": image["id"],
                "category_id": numbered[category],
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "score": score,
            }
            for box, score, category in boxes
        ]
    oracle, per_class = run_pycocotools(dataset, results)
    numbers = read(metric)
    assert_agreement(numbers, oracle, per_class)
    assert 0.05 < numbers["AP"] < 0.9
    assert len(per_class) == 3

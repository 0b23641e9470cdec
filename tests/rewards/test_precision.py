"""Average precision of one picture, precision and recall; pycocotools is the oracle."""

from __future__ import annotations

import contextlib
import io
import random

import pytest
from builders import PIXELS, make_sample
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vrft_pl.answers import Instance, Instances
from vrft_pl.rewards import DetectionAP, DetectionPrecision, DetectionRecall, Unread

DOGS = Instances((Instance((0, 0, 10, 10), "dog"), Instance((20, 0, 30, 10), "dog")), ("dog",), "a.jpg")
NOTHING = Instances((), ("dog",), "a.jpg")
CROWD = Instances((Instance((0, 0, 50, 50), "dog", crowd=True),), ("dog",), "a.jpg")


def graded(reward, truth, answer):
    return reward.grade_one(answer, make_sample(truth, "answer"), PIXELS)


def xywh(x1, y1, x2, y2):
    return [x1, y1, x2 - x1, y2 - y1]


def pycocotools_says(truth, answers, thresholds=None):
    """AP and AP50 of one picture by the package itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": 1, "width": 100, "height": 100}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(truth.categories, start=1)],
            "annotations": [
                {
                    "id": i,
                    "image_id": 1,
                    "category_id": truth.categories.index(item.category) + 1,
                    "bbox": xywh(*item.xyxy),
                    "area": 1000.0,
                    "iscrowd": int(item.crowd),
                }
                for i, item in enumerate(truth.items, start=1)
            ],
        }
        coco.createIndex()
        found = coco.loadRes(
            [
                {"image_id": 1, "category_id": truth.categories.index(name) + 1, "bbox": xywh(*box), "score": score}
                for box, score, name in answers
            ]
        )
        judged = COCOeval(coco, found, "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged.stats[0], judged.stats[1]


def written(answers):
    rows = (f"{{'bbox': {list(box)}, 'score': {score}, 'label': '{name}'}}" for box, score, name in answers)
    return f"[{', '.join(rows)}]"


def drawn(chance):
    """Few places, so that boxes tie, overlap two objects and lie on crowds."""

    def box():
        x, y = chance.randrange(0, 60, 4), chance.randrange(0, 60, 4)
        return (x, y, x + chance.choice([12, 16, 20, 40]), y + chance.choice([12, 16, 20, 40]))

    def moved(corners):
        return tuple(edge + chance.choice([0, 0, 0, 1, 2]) for edge in corners)

    names = ("dog", "cat")
    items = tuple(
        Instance(box(), chance.choice(names), crowd=chance.random() < 0.15) for _ in range(chance.randint(1, 8))
    )
    answers = [
        (
            moved(chance.choice(items).xyxy) if chance.random() < 0.7 else box(),
            chance.choice([0.1, 0.5, 0.5, 0.9]),
            chance.choice(names),
        )
        for _ in range(chance.choice([1, 3, 8, 120]))
    ]
    return Instances(items, names, "a.jpg"), answers


def test_ap_is_that_of_pycocotools_on_one_picture():
    chance, compared = random.Random(7), []
    for _ in range(150):
        truth, answers = drawn(chance)
        if all(item.crowd for item in truth.items):
            continue
        theirs = pycocotools_says(truth, answers)
        rewards = DetectionAP(length_penalty=False), DetectionAP([0.5], length_penalty=False)
        mine = [graded(reward, truth, written(answers)) for reward in rewards]
        assert mine == pytest.approx(theirs, abs=1e-9), (truth, answers)
        compared += theirs
    assert len({round(score, 6) for score in compared}) > 60, "of many values"


def test_of_two_objects_that_fit_alike_the_last_is_taken():
    items = (Instance((0, 0, 10, 10), "dog"), Instance((2, 0, 12, 10), "dog"))
    for truth in (Instances(items, ("dog",), "a.jpg"), Instances(items[::-1], ("dog",), "a.jpg")):
        answers = [((1, 0, 11, 10), 0.9, "dog"), ((0, 0, 10, 10), 0.8, "dog")]
        score = graded(DetectionAP(length_penalty=False), truth, written(answers))
        assert score == pytest.approx(pycocotools_says(truth, answers)[0], abs=1e-9)


@pytest.mark.parametrize(
    ("answer", "ap50", "with_penalty"),
    [
        pytest.param("[[0, 0, 10, 10], [20, 0, 30, 10]]", 1.0, 1.0, id="both"),
        pytest.param("[[0, 0, 10, 10]]", 51 / 101, 51 / 101, id="one-missed-costs-no-length"),
        pytest.param(
            "[[50, 0, 60, 10, 0.9], [0, 0, 10, 10, 0.5], [20, 0, 30, 10, 0.4]]", 2 / 3, 4 / 9, id="wrong-first"
        ),
        pytest.param("[[0, 0, 10, 10, 0.9], [20, 0, 30, 10, 0.8], [50, 0, 60, 10, 0.1]]", 1.0, 2 / 3, id="wrong-last"),
        pytest.param("[[0, 0, 10, 10], [20, 0, 30, 10], 'dog']", 1.0, 2 / 3, id="no-box-counts"),
        pytest.param("[[0, 0, 10, 10], [20, 0, 30, 10], [300, 0, 310, 10]]", 1.0, 2 / 3, id="outside-counts"),
        pytest.param("[[0, 0, 10, 10], [0, 0, 10, 10]]", 51 / 101, 51 / 101, id="twice"),
        pytest.param("[[50, 50, 60, 60]]", 0.0, 0.0, id="wrong"),
        pytest.param("No Objects", 0.0, 0.0, id="none"),
        pytest.param("a dog", Unread.MALFORMED, Unread.MALFORMED, id="unread"),
    ],
)
def test_more_boxes_than_objects_cost_as_in_vlm_r1(answer, ap50, with_penalty):
    assert graded(DetectionAP([0.5], length_penalty=False), DOGS, answer) == pytest.approx(ap50)
    assert graded(DetectionAP([0.5]), DOGS, answer) == pytest.approx(with_penalty)


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        (NOTHING, "No Objects", 1.0),
        (NOTHING, "[[0, 0, 10, 10, 0.0]]", 0.0),
        (CROWD, "No Objects", 1.0),
        (CROWD, "[[0, 0, 10, 10]]", 1.0),
        (CROWD, "[[70, 70, 80, 80]]", 0.0),
    ],
)
@pytest.mark.parametrize("reward", [DetectionAP(), DetectionPrecision(), DetectionRecall()], ids=lambda r: r.name)
def test_where_nothing_is_to_be_found_only_no_box_is_right(reward, truth, answer, expected):
    assert graded(reward, truth, answer) == expected


def test_where_not_all_is_annotated_further_boxes_are_not_wrong_and_a_grid_is():
    truth = Instances(DOGS.items[:1], ("dog",), "a.jpg", not_exhaustive=("dog",))
    found = ["[0, 0, 10, 10, 0.5]"]
    further = [f"[{x}, 50, {x + 10}, 60, 0.9]" for x in range(0, 50, 10)]
    grid = [f"[{x}, {y}, {x + 10}, {y + 10}, 1]" for x in range(0, 100, 10) for y in range(0, 100, 10)]
    scores = [graded(DetectionAP(), truth, f"[{', '.join(boxes)}]") for boxes in (found, found + further, grid)]
    assert scores == [1.0, 1.0, pytest.approx(1 / 95)]


@pytest.mark.parametrize(
    ("answer", "precision", "recall"),
    [
        ("[[0, 0, 10, 10], [20, 0, 30, 10]]", 1.0, 1.0),
        ("[[0, 0, 10, 10]]", 1.0, 0.5),
        ("[[0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 30, 6], 'dog']", 0.5, 1.0),
        ("[[0, 0, 10, 4]]", 0.0, 0.0),
        ("No Objects", 0.0, 0.0),
    ],
)
def test_precision_and_recall_are_apart(answer, precision, recall):
    assert (graded(DetectionPrecision(), DOGS, answer), graded(DetectionRecall(), DOGS, answer)) == (precision, recall)


def test_a_hit_is_worth_its_iou_below_the_full_one():
    answers = [f"[[0, 0, 10, {height}]]" for height in (4, 6, 7, 8, 10)]
    reward = DetectionPrecision(0.5, full_at=0.75)
    assert [graded(reward, DOGS, answer) for answer in answers] == [0, pytest.approx(0.6), pytest.approx(0.7), 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DetectionAP([]), r"Expected `thresholds` to be IoU in \(0, 1\], at least one, but got \[\]"),
        (lambda: DetectionAP([0.0]), r"Expected `thresholds` to be IoU in \(0, 1\], at least one, but got \[0.0\]"),
        (
            lambda: DetectionPrecision(0.7, full_at=0.5),
            "Expected `full_at` to be from `threshold` 0.7 to 1, but",
        ),
    ],
)
def test_thresholds_are_in_their_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()

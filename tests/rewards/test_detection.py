from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from builders import PIXELS, make_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from timing import seconds
from torchvision.ops import box_iou

from vrft_pl.answers import AnswerFrame, Instance, Instances
from vrft_pl.rewards.detection import DetectionConfidence, DetectionIoU, forget
from vrft_pl.rewards.parsing import Unread
from vrft_pl.rewards.parsing.boxes import MAX_LIST

LEFT, RIGHT = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)
BOX = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(5, 40)] * 2).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)
SCORED = st.tuples(BOX, st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))


def objects(*boxes, categories=("dog",), not_exhaustive=(), crowds=(), labels=None):
    names = labels or [categories[0]] * len(boxes)
    items = [Instance(box, name) for box, name in zip(boxes, names, strict=True)]
    items += [Instance(box, categories[0], crowd=True) for box in crowds]
    return make_sample(Instances(tuple(items), categories, "a.jpg", not_exhaustive), "answer")


def write(*entries):
    """Answer of ``(box, confidence or None, label or None)``, each optional from the right."""
    rows = []
    for box, *rest in entries:
        confidence, label = [*rest, None, None][:2]
        row = {"Position": list(box)}
        row |= {} if confidence is None else {"Confidence": confidence}
        row |= {} if label is None else {"Label": label}
        rows.append(row)
    return str(rows)


TWO = objects(LEFT, RIGHT)


@pytest.mark.parametrize(
    ("text", "iou", "confidence"),
    [
        pytest.param(write((LEFT, 1.0), (RIGHT, 1.0)), 1.0, 1.0, id="right"),
        pytest.param(write((RIGHT, 1.0), (LEFT, 1.0)), 1.0, 1.0, id="other-order"),
        pytest.param(write((LEFT, 1.0)), 0.5, 0.5, id="one-missed"),
        pytest.param(write(((0, 0, 10, 6), 0.9), (RIGHT, 0.7)), 0.8, 0.8, id="one-loose"),
        pytest.param(write(((0, 0, 10, 5), 0.9), (RIGHT, 0.7)), 0.75, 0.8, id="at-the-threshold"),
        pytest.param(write(((0, 0, 10, 4), 0.9), (RIGHT, 0.7)), 0.5, (0.1 + 0.7 + 0) / 3, id="below-the-threshold"),
        pytest.param(write((LEFT, 1.0), (RIGHT, 1.0), ((50, 50, 60, 60), 0.2)), 2 / 3, 2.8 / 3, id="one-too-many"),
        pytest.param(write((LEFT, 0.8), (LEFT, 0.8)), 0.5, (0.8 + 0.2 + 0) / 3, id="one-twice"),
        pytest.param(write((LEFT, -5), (RIGHT, 10)), 1.0, 0.5, id="confidence-is-limited"),
        pytest.param(write(((50, 50, 60, 60), -100)), 0.0, 1 / 3, id="wrong-and-far-below-0"),
        pytest.param(write((LEFT,), (RIGHT, 1.0)), 1.0, 0.5, id="no-confidence-hit"),
        pytest.param(write(((50, 50, 60, 60),), (LEFT, 1.0)), 0.5, 1 / 3, id="no-confidence-wrong"),
        pytest.param(write(((0, 0, 10, 10), 1.0), ((-40, -40, -10, -10), 0.5)), 0.5, 1.5 / 3, id="outside"),
        pytest.param(write(((-30, -30, 10, 10), 1.0), (RIGHT, 1.0)), 1.0, 1.0, id="cut-at-the-edges"),
        pytest.param(write((LEFT, 1.0, "Dog"), (RIGHT, 1.0)), 1.0, 1.0, id="label-that-is-asked-for"),
        pytest.param(write((LEFT, 1.0, "dogs"), (RIGHT, 1.0, "x")), 1.0, 1.0, id="labels-that-are-not-asked-for"),
        pytest.param("[[0, 0, 10, 10, 1.0], [5, 5, 1, 1, 0.0]]", 0.5, 1 / 3, id="an-entry-that-is-no-box"),
        pytest.param("[]", 0.0, 0.0, id="empty-list"),
        pytest.param("No Objects", 0.0, 0.0, id="no-objects"),
    ],
)
def test_boxes_are_compared_by_hand(text, iou, confidence):
    assert DetectionIoU().grade_one(text, TWO, PIXELS) == pytest.approx(iou)
    assert DetectionConfidence().grade_one(text, TWO, PIXELS) == pytest.approx(confidence)


@pytest.mark.parametrize(
    ("text", "iou", "confidence", "proper"),
    [
        pytest.param("No Objects", 1.0, 1.0, 1.0, id="no-objects"),
        pytest.param("[]", 1.0, 1.0, 1.0, id="empty-list"),
        pytest.param(write((LEFT, 0.0)), 0.0, 0.5, 0.5, id="one-that-is-not-believed"),
        pytest.param(write((LEFT, 0.5)), 0.0, 0.25, 0.375, id="one"),
        pytest.param(write((LEFT, 0.5), (RIGHT, 1.0)), 0.0, 0.25 / 3, 0.375 / 3, id="two"),
        pytest.param(write((LEFT,)), 0.0, 0.0, 0.0, id="no-confidence"),
    ],
)
def test_without_an_object_any_box_lowers_the_score(text, iou, confidence, proper):
    nothing = objects()
    assert DetectionIoU().grade_one(text, nothing, PIXELS) == iou
    assert DetectionConfidence().grade_one(text, nothing, PIXELS) == pytest.approx(confidence)
    assert DetectionConfidence(proper=True).grade_one(text, nothing, PIXELS) == pytest.approx(proper)


def test_the_proper_form_is_best_at_the_chance_of_a_hit():
    reward, one = DetectionConfidence(proper=True), objects(LEFT)

    def expected(c):
        hit, miss = (reward.grade_one(write((box, c)), one, PIXELS) for box in (LEFT, RIGHT))
        return 0.7 * hit + 0.3 * miss * 2  # a miss also misses the object: its mean is over two

    assert reward.grade_one(write((LEFT, 0.6)), one, PIXELS) == pytest.approx(1 - 0.16)
    assert reward.grade_one(write((RIGHT, 0.6)), one, PIXELS) == pytest.approx((1 - 0.36) / 2)
    assert max((expected(c / 100), c) for c in range(101))[1] == 70


@pytest.mark.parametrize("proper", [False, True])
def test_relative_confidence_pays_for_no_padding(proper):
    reward, sample = DetectionConfidence(proper=proper, relative=True), TWO
    sure, padding = (LEFT, 1.0), [((x, 70, x + 5, 90), 0.0) for x in range(0, 60, 5)]
    assert reward.grade_one(write(sure, (RIGHT, 1.0)), sample, PIXELS) == 1
    alone = reward.grade_one(write(sure), sample, PIXELS)
    assert alone == 0.5
    assert reward.grade_one(write(sure, *padding), sample, PIXELS) < alone
    assert reward.grade_one(write(*padding), sample, PIXELS) == 0
    assert reward.grade_one(write(*padding), objects(), PIXELS) == 0
    assert reward.grade_one("No Objects", objects(), PIXELS) == 1
    # a hit that is unsure earns less, by hand
    expected = (0.6 if not proper else 1 - 0.4**2) / 2
    assert reward.grade_one(write((LEFT, 0.6)), sample, PIXELS) == pytest.approx(expected)


def test_pairs_are_chosen_together_and_not_in_the_order_of_writing():
    """Greedy pairing gives the first box its best object and leaves none for the second."""
    truth = objects((0, 0, 10, 10), (4, 0, 14, 10))
    first, second = (2, 0, 12, 10), (4, 0, 13, 10)
    for boxes in ((first, second), (second, first)):
        text = write(*[(box, 1.0) for box in boxes])
        assert DetectionIoU(0.1).grade_one(text, truth, PIXELS) == pytest.approx((8 / 12 + 9 / 10) / 2)


def test_several_categories_pair_only_with_their_own():
    truth = objects(LEFT, RIGHT, categories=("dog", "Polar bear"), labels=("dog", "Polar bear"))
    cases = {
        write((LEFT, 1.0, "DOG"), (RIGHT, 1.0, "polar_bear")): 1.0,
        write((LEFT, 1.0, "polar bear"), (RIGHT, 1.0, "dog")): 0.0,
        write((LEFT, 1.0), (RIGHT, 1.0, "polar bear")): 0.5,
        write((LEFT, 1.0, "dog"), (RIGHT, 1.0, "cat")): 0.5,
    }
    for text, expected in cases.items():
        assert DetectionIoU().grade_one(text, truth, PIXELS) == expected


def test_1100_boxes_against_400_objects_are_judged_in_time():
    grid = [(x * 4.0, y * 4.0, x * 4.0 + 6, y * 4.0 + 6) for x in range(20) for y in range(20)]
    sample, random = objects(*grid), np.random.default_rng(0)
    corners = random.integers(0, 80, (1100, 2))
    text = str([[int(x), int(y), int(x) + 6, int(y) + 6] for x, y in corners])
    assert len(text) < MAX_LIST

    def grade(reward):
        forget()
        reward.grade_one(text, sample, PIXELS)

    for reward in (DetectionIoU(0), DetectionConfidence(0)):
        assert seconds(grade, reward, enough=0.05) < 0.05


def test_objects_of_categories_not_asked_for_are_not_there():
    truth = objects(LEFT, RIGHT, labels=("dog", "cat"))
    assert DetectionIoU().grade_one(write((LEFT, 1.0)), truth, PIXELS) == 1
    assert DetectionIoU().grade_one(write((LEFT, 1.0), (RIGHT, 1.0)), truth, PIXELS) == 0.5


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((50, 50, 60, 60), 1.0, id="on-it"),
        pytest.param((35, 50, 45, 60), 1.0, id="half-on-it"),
        pytest.param((34, 50, 44, 60), 0.5, id="less-than-half"),
        pytest.param((0, 50, 10, 60), 0.5, id="elsewhere"),
    ],
)
def test_a_box_on_a_crowd_counts_neither_for_nor_against(box, expected):
    truth = objects(LEFT, crowds=[(40, 40, 90, 90)])
    text = write((LEFT, 1.0), (box, 1.0))
    assert DetectionIoU().grade_one(text, truth, PIXELS) == expected
    assert DetectionConfidence().grade_one(text, truth, PIXELS) == expected


def test_a_crowd_of_another_category_excuses_nothing():
    truth = objects(LEFT, crowds=[(40, 40, 90, 90)], categories=("dog", "cat"))
    text = write((LEFT, 1.0, "dog"), ((50, 50, 60, 60), 1.0, "cat"))
    assert DetectionIoU().grade_one(text, truth, PIXELS) == 0.5


def test_a_crowd_need_not_be_found():
    truth = objects(crowds=[(40, 40, 90, 90)])
    for text in ("No Objects", write(((50, 50, 60, 60), 1.0))):
        assert DetectionIoU().grade_one(text, truth, PIXELS) == 1
        assert DetectionConfidence().grade_one(text, truth, PIXELS) == 1


def test_further_boxes_of_a_category_that_is_not_exhaustive_are_excused():
    text = write((LEFT, 1.0, "dog"), (RIGHT, 1.0, "dog"), ((50, 50, 60, 60), 1.0, "cat"))
    for names, expected in (((), 1 / 3), (("Dog",), 1 / 2), (("dog", "cat"), 1.0)):
        truth = objects(LEFT, categories=("dog", "cat"), not_exhaustive=names)
        assert DetectionIoU().grade_one(text, truth, PIXELS) == pytest.approx(expected)
        assert DetectionConfidence().grade_one(text, truth, PIXELS) == pytest.approx(expected)
    outside = write((LEFT, 1.0), ((200, 200, 210, 210), 1.0))
    assert DetectionIoU().grade_one(outside, objects(LEFT, not_exhaustive=("dog",)), PIXELS) == 0.5


def cell(i, left=0, top=0):
    """One of many small boxes, none on another."""
    x, y = left + 5 * (i % 16), top + 5 * (i // 16)
    return x, y, x + 4, y + 4


@pytest.mark.parametrize(("shift", "left_out"), [(0, 0), (1, 0), (4, 2), (6, 4), (10, 4)])
def test_boxes_around_one_place_are_one_object(shift, left_out):
    """Four further boxes, 10 wide, each so much further right than the one before: IoU 0.3 is a shift of 5.4."""
    truth = objects((0, 0, 10, 10), not_exhaustive=("dog",))
    boxes = [((shift * i, 0, shift * i + 10, 10), 1.0) for i in range(5)]
    for order in (boxes, boxes[::-1]):
        assert DetectionIoU().grade_one(write(*order), truth, PIXELS) == pytest.approx(1 / (5 - left_out))


@pytest.mark.parametrize(
    ("further", "expected"),
    [(0, 1.0), (5, 1.0), (6, 1 / 2), (10, 1 / 6), (200, 1 / 196)],
)
def test_a_hit_vouches_for_five_boxes_that_cannot_be_judged(further, expected):
    truth = objects(LEFT, not_exhaustive=("dog",))
    boxes = [(cell(i, 20, 30), i % 2) for i in range(further)]
    text = write((LEFT, 1.0), *boxes)
    for reward in (DetectionIoU(), DetectionConfidence(), DetectionConfidence(proper=True, relative=True)):
        assert reward.grade_one(text, truth, PIXELS) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "expected"), [(0, 1), (5, 1), (6, 0), (300, 0)])
def test_where_nothing_is_annotated_a_list_is_no_answer_from_six_boxes_on(count, expected):
    text = write(*[(cell(i), 0.0) for i in range(count)])
    for reward in (DetectionIoU(), DetectionConfidence(), DetectionConfidence(relative=True)):
        assert reward.grade_one(text, objects(not_exhaustive=("dog",)), PIXELS) == expected


@pytest.mark.parametrize("options", [{}, {"relative": True}, {"relative": True, "proper": True}])
def test_a_box_without_a_confidence_earns_nothing_where_it_cannot_be_judged(options):
    reward, without, stated = DetectionConfidence(**options), "[[50, 50, 60, 60]]", "[[50, 50, 60, 60, 0.5]]"
    nothing, one = objects(not_exhaustive=("dog",)), objects(LEFT, not_exhaustive=("dog",))
    assert [reward.grade_one(text, nothing, PIXELS) for text in (without, stated, "No Objects")] == [0, 1, 1]
    assert reward.grade_one(write((LEFT, 1.0))[:-1] + ", [50, 50, 60, 60]]", one, PIXELS) == 0.5
    assert DetectionIoU().grade_one(without, nothing, PIXELS) == 1


def test_a_grid_of_32_sure_boxes_earns_next_to_nothing_whatever_the_threshold():
    """It earned .25 to .45 when a box without a pair cost nothing, and .21 when any overlap vouched for five."""
    rng = np.random.default_rng(0)
    cells = write(*[((25 * x, 12.5 * y, 25 * x + 25, 12.5 * y + 12.5), 1.0) for x in range(4) for y in range(8)])
    for count in (1, 2, 5):
        corners = rng.uniform(0, 60, (20, count, 2))
        sides = rng.uniform(5, 40, (20, count, 2))
        truths = [
            objects(*map(tuple, np.concatenate([c, c + s], axis=1).tolist()), not_exhaustive=("dog",))
            for c, s in zip(corners, sides, strict=True)
        ]
        for reward in (DetectionIoU(), DetectionIoU(0), DetectionConfidence(), DetectionConfidence(relative=True)):
            assert np.mean([reward.grade_one(cells, truth, PIXELS) for truth in truths]) < 0.07, (reward, count)


def test_what_hits_nothing_that_is_annotated_vouches_for_nothing():
    truth = objects(LEFT, not_exhaustive=("dog",))
    loose = (LEFT[0], LEFT[1], LEFT[2] * 3, LEFT[3])
    further = [(cell(i, 20, 40), 1.0) for i in range(3)]
    assert DetectionIoU(0).grade_one(write((loose, 1.0), *further), truth, PIXELS) == pytest.approx(1 / 3 / 4)
    assert DetectionIoU(0).grade_one(write((LEFT, 1.0), *further), truth, PIXELS) == 1


def test_hits_vouch_for_boxes_of_their_own_category():
    truth = objects(LEFT, RIGHT, categories=("dog", "cat"), not_exhaustive=("dog", "cat"), labels=["dog", "dog"])
    found = [(LEFT, 1.0, "dog"), (RIGHT, 1.0, "dog")]
    for label, expected in (("dog", 1.0), ("cat", 2 / 7)):
        others = [(cell(i, 20, 40), 1.0, label) for i in range(10)]
        assert DetectionIoU().grade_one(write(*found, *others), truth, PIXELS) == pytest.approx(expected)


def test_a_grid_of_guesses_earns_next_to_nothing_where_not_all_is_annotated():
    truth = objects((0, 0, 13, 13), (50, 50, 63, 63), (20, 70, 60, 95), not_exhaustive=("dog",))
    cells = [(12.5 * x, 12.5 * y, 12.5 * x + 12.5, 12.5 * y + 12.5) for x in range(8) for y in range(8)]
    for confidence in (0.0, 1.0):
        text = write(*[(cell, confidence) for cell in cells])
        for reward in (DetectionIoU(), DetectionConfidence()):
            assert reward.grade_one(text, truth, PIXELS) < 0.05


def test_coordinates_are_read_in_the_space_of_the_policy():
    frame = AnswerFrame(100, 50, 0.1, 0.05)
    assert DetectionIoU().grade_one("[[0, 0, 100, 200], [200, 0, 300, 200]]", TWO, frame) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "frame", "reason"),
    [
        pytest.param(write((LEFT, 1.0)), None, Unread.NO_PICTURE, id="no-picture"),
        pytest.param("", PIXELS, Unread.EMPTY, id="empty"),
        pytest.param("two dogs", PIXELS, Unread.MALFORMED, id="words"),
    ],
)
def test_what_holds_no_list_of_boxes_is_a_parse_failure(text, frame, reason):
    for reward in (DetectionIoU(), DetectionConfidence()):
        assert reward.grade_one(text, TWO, frame) is reason


def test_no_box_needs_no_picture():
    assert DetectionIoU().grade_one("No Objects", objects(), None) == 1


def test_of_equally_good_boxes_the_confident_one_is_paired():
    rewards, one = (DetectionConfidence(), DetectionConfidence(proper=True)), objects(LEFT)
    for order in itertools.permutations([(LEFT, 0.9), (LEFT, 0.2), (RIGHT, 0.4)]):
        scores = [reward.grade_one(write(*order), one, PIXELS) for reward in rewards]
        assert scores == pytest.approx([(0.9 + 0.8 + 0.6) / 3, (0.99 + 0.96 + 0.84) / 3])


def test_a_box_without_a_confidence_is_less_than_one_of_confidence_0():
    sure, silent = "{'bbox': [0, 0, 10, 10], 'score': 0}", "{'bbox': [0, 0, 10, 10]}"
    truth = objects((0, 0, 10, 10))
    orders = (f"[{sure}, {silent}]", f"[{silent}, {sure}]")
    scores = [DetectionConfidence().grade_one(text, truth, PIXELS) for text in orders]
    assert scores[0] == scores[1]


@given(st.lists(SCORED, max_size=5), st.lists(BOX, max_size=4), st.randoms(), st.sampled_from([0.0, 0.3, 0.5]))
@settings(deadline=None)
def test_the_order_of_writing_never_matters(answers, truths, random, threshold):
    truth, shuffled = objects(*truths), random.sample(answers, len(answers))
    for reward in (
        DetectionIoU(threshold),
        DetectionConfidence(threshold),
        DetectionConfidence(threshold, proper=True),
    ):
        score = reward.grade_one(write(*answers), truth, PIXELS)
        assert 0 <= score <= 1
        assert reward.grade_one(write(*shuffled), truth, PIXELS) == pytest.approx(score)


@given(st.lists(SCORED, max_size=4), st.lists(BOX, min_size=1, max_size=4), st.sampled_from([0.0, 0.3]))
@settings(deadline=None)
def test_the_pairing_is_the_best_of_all(answers, truths, threshold):
    ious = np.array([[box_iou(torch.tensor([a]), torch.tensor([b])).item() for b in truths] for a, _ in answers])
    ious = np.where(ious >= threshold, ious, 0).reshape(len(answers), len(truths))
    size = max(ious.shape)
    square = np.zeros((size, size))
    square[: ious.shape[0], : ious.shape[1]] = ious
    best = max(sum(square[i, p[i]] for i in range(size)) for p in itertools.permutations(range(size)))
    score = DetectionIoU(threshold).grade_one(write(*answers), objects(*truths), PIXELS)
    assert score == pytest.approx(best / size, abs=1e-5)


@given(st.lists(SCORED, max_size=4), BOX, BOX, st.integers(0, 3), st.integers(1, 8))
@settings(deadline=None)
def test_in_the_smooth_form_a_better_box_never_scores_less(answers, box, truth, edge, steps):
    sample = objects(truth)
    better = list(box)
    better[edge] += float(np.clip(truth[edge] - box[edge], -steps, steps))
    if better[2] <= better[0] or better[3] <= better[1]:
        return
    before, after = (
        DetectionIoU(0).grade_one(write(*answers, (moved, 0.5)), sample, PIXELS) for moved in (box, better)
    )
    assert after >= before - 1e-12


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("reward", [DetectionIoU, DetectionConfidence])
def test_a_threshold_is_an_overlap(reward, threshold):
    with pytest.raises(ValueError, match=rf"Expected `threshold` to be an IoU in \[0, 1\], but got {threshold}"):
        reward(threshold)

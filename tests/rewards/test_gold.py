"""The ground truth, written as supervised training imitates it, earns everything."""

from __future__ import annotations

import pytest
from builders import make_sample

from vrft_pl.answers import Box, Call, Choice, Expression, Instance, Instances, Label, Number, Points, Transformation
from vrft_pl.policy.coordinates import DESCRIPTIONS, answer_frame
from vrft_pl.prompts import target_text
from vrft_pl.rewards import (
    BoxAccuracy,
    BoxGIoU,
    BoxIoU,
    ChoiceMatch,
    DetectionAP,
    DetectionConfidence,
    DetectionIoU,
    Format,
    GradedNumber,
    LabelMatch,
    MathMatch,
    NumberMatch,
    PointMatch,
    TransformationExact,
    TransformationMatch,
    Unread,
)
from vrft_pl.styles import STYLES, answer_style

COTS = dict.fromkeys(STYLES, "I look.") | {
    "answer": None,
    "caption": "<summary>s</summary><caption>c</caption><think>t</think>",
}
NUMBERS = (NumberMatch(), NumberMatch(words=True), GradedNumber(), MathMatch())
BOXES = (BoxIoU(), BoxIoU(threshold=1), BoxAccuracy(), BoxGIoU())
DETECTIONS = (
    DetectionIoU(),
    DetectionIoU(threshold=0),
    DetectionConfidence(),
    DetectionConfidence(proper=True),
    DetectionConfidence(relative=True),
    DetectionAP(),
)
CALLS = (TransformationMatch(), TransformationMatch(partial=False), TransformationMatch(penalty=True))
DOG, CAT = Instance((100.0, 50.0, 300.0, 250.0), "dog"), Instance((500.0, 100.0, 600.0, 200.0), "Siamese cat")
CROWD = Instance((0.0, 0.0, 50.0, 50.0), "dog", crowd=True)
TRUTHS = {
    "whole number": (Number(3.0), NUMBERS),
    "decimal": (Number(-0.25), NUMBERS),
    "zero": (Number(0.0), NUMBERS),
    "length": (Number(12.5, "cm"), NUMBERS),
    "angle": (Number(50.0, "degrees"), NUMBERS),
    "area": (Number(4.0, "square feet"), NUMBERS),
    "share": (Number(40.0, "%"), NUMBERS),
    "choice": (Choice("C"), (ChoiceMatch(),)),
    "choice with texts": (Choice("B", ("30 cm", "35 cm")), (ChoiceMatch(),)),
    "root": (Expression(r"6\sqrt{3}"), (MathMatch(),)),
    "fraction in dollars": (Expression(r"$\frac{1}{2}$"), (MathMatch(),)),
    "polynomial": (Expression("x^2+2x+1"), (MathMatch(),)),
    "label": (Label("fire lily", ("flame lily",)), (LabelMatch(),)),
    "label with marks": (Label("St. Bernard (dog), 2012"), (LabelMatch(),)),
    "box": (Box(DOG.xyxy), BOXES),
    "one category": (Instances((DOG,), ("dog",), "a.jpg"), DETECTIONS),
    "several categories": (Instances((DOG, CAT), ("dog", "Siamese cat"), "a.jpg"), DETECTIONS),
    "with a crowd": (Instances((DOG, CROWD), ("dog",), "a.jpg"), DETECTIONS),
    "a crowd alone": (Instances((CROWD,), ("dog",), "a.jpg"), DETECTIONS),
    "nothing to find": (Instances((), ("dog",), "a.jpg"), DETECTIONS),
    "points": (Points((DOG.xyxy, CAT.xyxy, (400.0, 100.0))), (PointMatch(),)),
    "one call": (Transformation((Call("change_color", "2", "red"),)), (*CALLS, TransformationExact())),
    "four calls": (
        Transformation(
            (
                Call("change_color", "2", "red"),
                Call("change_position", "obj_1", "(0, -1)"),
                Call("change_size", "2", "Small"),
                Call("change_size", "3", "Small"),
            )
        ),
        (*CALLS, TransformationExact()),
    ),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", TRUTHS)
def test_the_truth_earns_everything_in_every_style_and_space(kind, style):
    truth, rewards = TRUTHS[kind]
    sample = make_sample(truth, style, cot=COTS[style])
    for space in DESCRIPTIONS:
        size = (
            (1024, 512) if space == "bins_1024_y_first" else (1000, 500)
        )  # the boxes are whole numbers in every space
        frame = answer_frame(space, size, (size[0] // 2, size[1] // 2))
        text = target_text(sample, frame)
        assert Format().grade_one(text, sample, frame) == 1
        for reward in rewards:
            assert reward.judges(sample)
            assert reward.bounds[1] == 1, reward.name
            assert reward.grade_one(text, sample, frame) == pytest.approx(1, abs=1e-9), (reward.name, space, text)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("answer", ["No Objects", "no objects.", "[]", "```json\n[]\n```"])
@pytest.mark.parametrize("truth", ["nothing to find", "a crowd alone"])
def test_no_box_is_right_where_there_is_nothing_to_find(truth, answer, style):
    sample = make_sample(TRUTHS[truth][0], style)
    text = answer_style(style).target(answer, COTS[style])
    for reward in DETECTIONS:
        assert reward.grade_one(text, sample, answer_frame("pixels", (1000, 500), None)) == 1


@pytest.mark.parametrize("kind", TRUTHS)
def test_the_truth_of_another_question_does_not_earn_everything(kind):
    """A check of the test above: it would pass for rewards that are always 1."""
    truth, rewards = TRUTHS[kind]
    frame = answer_frame("pixels", (1000, 500), None)
    for other, (wrong, _) in TRUTHS.items():
        text, sample = target_text(make_sample(wrong, "answer"), frame), make_sample(truth, "answer")
        same = other == kind or {other, kind} <= {"nothing to find", "a crowd alone"}
        same = same or {other, kind} <= {"one category", "with a crowd", "box"}
        for reward in rewards:
            verdict = reward.grade_one(text, sample, frame)
            assert same or isinstance(verdict, Unread) or verdict < 0.99, (reward.name, text)

"""Faults of the evaluations that the two papers published, by their number in our list of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_completions, make_sample

from vrft_pl.answers import AnswerFrame, Box, Call, Instance, Instances, Label, Mask, Number, Transformation
from vrft_pl.metrics import Accuracy, COCOAveragePrecision, GroundingIoU, LVISAveragePrecision, MaskIoU
from vrft_pl.rewards import LabelMatch, NumberMatch, TransformationMatch

FRAME = AnswerFrame(1000, 1000, 1.0, 1.0)
RIGHT, FAR = (100.0, 100.0, 200.0, 200.0), (700.0, 700.0, 800.0, 800.0)


def said(answer, thoughts="I look."):
    return f"<think>{thoughts}</think><answer>{answer}</answer>"


def detected(*rows):
    return said(str([{"Position": list(box), "Confidence": confidence} for box, confidence in rows]))


def dog(xyxy, image="a.jpg"):
    return Instances((Instance(xyxy, "dog"),), ("dog",), image)


def judged(metric, truths, texts):
    """Numbers of a metric over samples of their own."""
    samples = [replace(make_sample(truth), id=f"row {i}") for i, truth in enumerate(truths)]
    metric.update(make_completions(texts, FRAME), samples)
    return {name: value.item() for name, value in metric.values().items()}


def test_26_an_empty_answer_and_a_part_of_the_name_are_wrong_and_counted():
    texts = [said(""), said("lily"), "no answer", said("Fire lily.")]
    got = judged(Accuracy(LabelMatch()), [Label("fire lily")] * 4, texts)
    assert got["Accuracy"] == 0.25
    assert got["parse_failures/Accuracy"] == 0.5


@pytest.mark.parametrize("kind", ["coco", "lvis"])
def test_27_and_28_average_precision_counts_every_question_asked_and_every_failed_answer(kind):
    metric = COCOAveragePrecision() if kind == "coco" else LVISAveragePrecision({"dog": "r"})
    name, sure = metric.name, detected((RIGHT, 0.9))
    truths = [dog(RIGHT, f"{i}.jpg") for i in range(4)]
    assert judged(metric, truths, [sure] * 4)[name] == pytest.approx(1)
    metric.reset()
    got = judged(metric, truths, [sure, sure, "no answer", said("[[nonsense")])
    # recall stops at a half: 51 of 101 recalls have precision 1
    assert got[name] == pytest.approx(51 / 101, abs=1e-6)
    assert got[f"parse_failures/{name}"] == 0.5
    if kind == "lvis":
        assert got[f"{name}/APr"] == pytest.approx(51 / 101, abs=1e-6)


def test_27_answered_boxes_and_confidences_are_limited():
    got = judged(
        COCOAveragePrecision(), [dog((0.0, 0.0, 100.0, 100.0))], [detected(((-500, -500, 100, 100), 1e9), (FAR, -1e9))]
    )
    assert got["AP"] == pytest.approx(1)


def test_29_boxes_in_the_thoughts_and_missing_answers_earn_nothing_and_are_counted():
    texts = [said("[700, 700, 800, 800]", "[100, 100, 200, 200]"), said("[100, 100, 200, 200]"), "", said("none")]
    got = judged(GroundingIoU(), [Box(RIGHT)] * 4, texts)
    assert got == {"GroundingIoU": 0.25, "GroundingIoU/accuracy_50": 0.25, "parse_failures/GroundingIoU": 0.5}


def square(left, size=100.0):
    return (left, 0.0, left + size, 0.0, left + size, size, left, size)


def test_29_all_shapes_of_a_target_are_merged_and_ignored_pixels_left_out():
    mask = Mask((square(0.0), square(200.0)), ignored=(square(100.0),))
    truth = Box((0.0, 0.0, 300.0, 100.0), mask)
    got = judged(MaskIoU(), [truth] * 2, [said("[0, 0, 300, 100]"), "no answer"])
    assert got == {"MaskIoU/gIoU": 0.5, "MaskIoU/cIoU": 0.5, "parse_failures/MaskIoU": 0.5}


def test_40_an_answer_over_several_lines_is_judged_alone():
    truth = Transformation((Call("change_color", "1", "red"), Call("change_color", "2", "blue")))
    text = "<think>\nchange_color(1, green)\n</think>\n<answer>\nchange_color(1, red)\nchange_color(2, blue)\n</answer>"
    got = judged(Accuracy(TransformationMatch()), [truth, truth], [text, text.replace("blue", "red")])
    assert got["Accuracy"] == 0.5


def test_40_a_number_in_free_text_is_no_answer():
    texts = [said("not 3"), said("7 and then 3"), said("4", "It is 3."), "3"]
    got = judged(Accuracy(NumberMatch()), [Number(3)] * 4, texts)
    assert (got["Accuracy"], got["parse_failures/Accuracy"]) == (0, 0.75)

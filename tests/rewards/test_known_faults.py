"""Faults of the code that the two papers published, by their number in our list of them."""

from __future__ import annotations

import itertools

import pytest
import torch
from builders import make_completions, make_sample

from vrft_pl.answers import (
    AnswerFrame,
    Box,
    Call,
    Choice,
    Expression,
    Instance,
    Instances,
    Label,
    Number,
    Transformation,
)
from vrft_pl.policy.coordinates import answer_frame
from vrft_pl.rewards import (
    BoxGIoU,
    BoxIoU,
    ChoiceMatch,
    DetectionConfidence,
    DetectionIoU,
    Format,
    GradedNumber,
    LabelMatch,
    LengthPenalty,
    MathMatch,
    NumberMatch,
    ReasoningSteps,
    TransformationMatch,
    Unread,
)

FRAME = AnswerFrame(1000, 1000, 1.0, 1.0)
RIGHT = (100.0, 100.0, 200.0, 200.0)
"""A hundredth of the image."""


def said(answer, thoughts="I look."):
    return f"<think>{thoughts}</think><answer>{answer}</answer>"


def detected(*rows):
    return said(str([{"Position": list(box), "Confidence": confidence} for box, confidence in rows]))


def objects(*boxes):
    return Instances(tuple(Instance(box, "dog") for box in boxes), ("dog",), "a.jpg")


def calls(*rows):
    return Transformation(tuple(Call(*row) for row in rows))


ONE, NONE = objects(RIGHT), objects()
TWO = objects(RIGHT, (500.0, 500.0, 600.0, 600.0))
SAME_Y1 = (100, 100, 200, 149)  # IoU 0.49
FAR = (700, 700, 800, 800)
CHAIN = objects((0.0, 0.0, 100.0, 10.0), (30.0, 0.0, 130.0, 10.0))
CHAIN_ANSWERS = ((18, 0, 118, 10), 0.9), ((45, 0, 145, 10), 0.9)
CHAIN_IOU = (82 / 118 + 85 / 115) / 2  # the first box fits the second object better: 88 / 112
LILY = Label("fire lily")
BULLDOG = Label("american bulldog")
AUDI = Label("Audi S4 Sedan 2012")
COLOURS = calls(("change_color", "1", "red"), ("change_color", "2", "blue"))
MULTI_LINE = "<think>\nI look.\n</think>\n<answer>\n{}\n</answer>"
MULTI_LINE_BOX = MULTI_LINE.format("[\n{'Position': [100, 100, 200, 200],\n'Confidence': 0.9}\n]")


@pytest.mark.parametrize(
    ("reward", "truth", "text", "expected"),
    [
        pytest.param(DetectionIoU(), ONE, detected((SAME_Y1, 1.0)), 0.0, id="10 equal y1: IoU"),
        pytest.param(DetectionIoU(threshold=0), ONE, detected((SAME_Y1, 1.0)), 0.49, id="10 equal y1: smooth IoU"),
        pytest.param(DetectionConfidence(), ONE, detected((SAME_Y1, 1.0)), 0.0, id="10 equal y1: confidence"),
        pytest.param(DetectionIoU(), ONE, MULTI_LINE_BOX, 1.0, id="11 several lines: IoU"),
        pytest.param(DetectionConfidence(), ONE, MULTI_LINE_BOX, 0.9, id="11 several lines: confidence"),
        pytest.param(Format(), ONE, MULTI_LINE_BOX, 1.0, id="11 several lines: format"),
        pytest.param(DetectionIoU(), NONE, said("No Objects"), 1.0, id="12 no objects: IoU"),
        pytest.param(DetectionConfidence(), NONE, said("No Objects"), 1.0, id="12 no objects: confidence"),
        pytest.param(DetectionIoU(), NONE, detected((RIGHT, 1.0)), 0.0, id="12 no objects but a box: IoU"),
        pytest.param(DetectionConfidence(), NONE, detected((RIGHT, 1.0)), 0.0, id="12 no objects but a box"),
        pytest.param(DetectionIoU(), ONE, said("No Objects"), 0.0, id="12 objects but none answered"),
        pytest.param(DetectionConfidence(), ONE, detected((FAR, -5)), 0.5, id="13 wrong box with -5"),
        pytest.param(DetectionConfidence(), ONE, detected((RIGHT, 0.5), (FAR, -100)), 0.75, id="13 wrong with -100"),
        pytest.param(
            DetectionConfidence(),
            ONE,
            detected((RIGHT, 10), *[(FAR, 1.0)] * 9),
            0.1,
            id="13 one +10 among nine wrong boxes",
        ),
        pytest.param(DetectionConfidence(), TWO, detected((RIGHT, 1.0)), 0.5, id="13 one of two found"),
        pytest.param(DetectionIoU(threshold=0), ONE, detected(((100, 100, 200, 130), 1)), 0.3, id="14 below 0.5"),
        pytest.param(DetectionIoU(), ONE, detected(((100, 100, 200, 150), 1)), 0.5, id="14 at 0.5"),
        pytest.param(DetectionIoU(), CHAIN, detected(*CHAIN_ANSWERS), CHAIN_IOU, id="14 not greedy"),
        pytest.param(DetectionIoU(), CHAIN, detected(*CHAIN_ANSWERS[::-1]), CHAIN_IOU, id="14 other order"),
        pytest.param(DetectionIoU(), TWO, detected((RIGHT, 1.0)), 0.5, id="15 one of two found"),
        pytest.param(DetectionIoU(), ONE, detected((RIGHT, 1), (RIGHT, 1)), 0.5, id="16 an exact copy"),
        pytest.param(DetectionIoU(), ONE, detected((RIGHT, 1), ((100, 100, 200, 199.9), 1)), 0.5, id="16 a near copy"),
        pytest.param(
            DetectionIoU(), ONE, detected((RIGHT, 1), ((200, 200, 100, 100), 1)), 0.5, id="16 an inverted box"
        ),
        pytest.param(
            DetectionIoU(),
            ONE,
            said("""[{"Position": [100, 100, 200, 200], 'Label': "dog", "note": "it's [here]"}]"""),
            1.0,
            id="16 quotes and brackets in strings",
        ),
        pytest.param(Format(), ONE, "<think></think><answer></answer>", 0.0, id="17 empty tags"),
        pytest.param(Format(), ONE, said("a") + said("b"), 0.0, id="17 duplicate blocks"),
        pytest.param(Format(), ONE, "<think>a</think><think>a</think><answer>b</answer>", 0.0, id="17 two thoughts"),
        pytest.param(Format(), ONE, f" {said('a')}\n", 1.0, id="17 blanks around"),
        pytest.param(LabelMatch(), LILY, "<think></think><answer></answer>", Unread.EMPTY, id="19 empty answer"),
        pytest.param(LabelMatch(), BULLDOG, said("beagle, american bulldog, pug"), 0.0, id="19 all classes"),
        pytest.param(LabelMatch(), AUDI, said("2012"), 0.0, id="19 year alone"),
        pytest.param(LabelMatch(), AUDI, said("sedan"), 0.0, id="19 body alone"),
        pytest.param(LabelMatch(), LILY, said("lily"), 0.0, id="19 part of the name"),
        pytest.param(LabelMatch(), Label("lily"), said("fire lily"), 0.0, id="19 name as a part"),
        pytest.param(LabelMatch(), LILY, MULTI_LINE.format("fire lily"), 1.0, id="20 several lines"),
        pytest.param(LabelMatch(), LILY, said("rose", "A fire lily?"), 0.0, id="20 class in the thoughts"),
        pytest.param(LabelMatch(), LILY, "It is a fire lily.", Unread.NO_ANSWER, id="20 no answer tag"),
        pytest.param(LabelMatch(), AUDI, said("BMW M3 Coupe 2012"), 0.0, id="21 equal number at the end"),
        pytest.param(BoxIoU(), Box(RIGHT), said("(1000,1000),(0,0)"), Unread.NO_AREA, id="22 inverted: IoU"),
        pytest.param(BoxGIoU(), Box(RIGHT), said("(1000,1000),(0,0)"), Unread.NO_AREA, id="22 inverted: GIoU"),
        pytest.param(
            BoxIoU(), Box(RIGHT), said("(100,100),(200,200) (0,0),(9,9)"), Unread.AMBIGUOUS, id="23 several boxes"
        ),
        pytest.param(BoxIoU(), Box(RIGHT), said("(0,0),(1000,1000)"), 0.01, id="24 full image"),
        pytest.param(BoxIoU(), Box(RIGHT), said("(100,100),(200,200)"), 1.0, id="24 exact box"),
        pytest.param(NumberMatch(), Number(3), said("3.0"), 1.0, id="35 decimal"),
        pytest.param(NumberMatch(), Number(50), said("50.0"), 1.0, id="35 decimal of fifty"),
        pytest.param(NumberMatch(), Number(50), said("50 deg"), 1.0, id="35 unit"),
        pytest.param(ChoiceMatch(), Choice("B"), said("(b)"), 1.0, id="35 brackets"),
        pytest.param(MathMatch(), Expression("0.5"), said(r"$\frac{1}{2}$"), 1.0, id="35 equal inside the tag"),
        pytest.param(GradedNumber(), Number(0), said("0"), 1.0, id="36 truth 0"),
        pytest.param(GradedNumber(), Number(0), said("1"), 0.0, id="36 truth 0, wrong"),
        pytest.param(GradedNumber(), Number(20), said("nan"), Unread.NOT_FINITE, id="36 nan"),
        pytest.param(GradedNumber(), Number(20), said("21"), 0.8535534, id="36 count off by one"),
        pytest.param(
            TransformationMatch(),
            COLOURS,
            said("change_color(1, blue), change_color(2, green)"),
            0.5,
            id="37 greedy pairs earn 0.375",
        ),
        pytest.param(
            TransformationMatch(),
            COLOURS,
            said("""change_color("2", 'blue'), change_color('1', "red")"""),
            1.0,
            id="37 quoted ids",
        ),
        pytest.param(ReasoningSteps(), ONE, said("x", "First,Second,Next,"), 0.0, id="38 marks alone"),
        pytest.param(
            ReasoningSteps(),
            ONE,
            said("x", "1. Count the cubes: 3.\n2. Count the balls: 4.\n3. Add both numbers: 7."),
            1.0,
            id="38 enumeration over lines",
        ),
        pytest.param(NumberMatch(), Number(3), said("not 3"), Unread.MALFORMED, id="40 not"),
        pytest.param(NumberMatch(), Number(3), said("7 and then 3"), Unread.MALFORMED, id="40 another number before"),
        pytest.param(MathMatch(), Number(3), said("not 3"), Unread.MALFORMED, id="40 not: mathematics"),
        pytest.param(MathMatch(), Number(3), said("7 and then 3"), Unread.MALFORMED, id="40 another: mathematics"),
        pytest.param(
            TransformationMatch(),
            COLOURS,
            MULTI_LINE.format("change_color(1, red)\nchange_color(2, blue)"),
            1.0,
            id="40 several lines",
        ),
        pytest.param(DetectionIoU(), NONE, said("no idea"), Unread.MALFORMED, id="43 unreadable without a truth: IoU"),
        pytest.param(DetectionConfidence(), NONE, said("no idea"), Unread.MALFORMED, id="43 unreadable: confidence"),
        pytest.param(Format(), ONE, f"Well: {said('[1, 2, 3, 4]')}", 0.0, id="43 text around"),
        pytest.param(BoxIoU(), Box(RIGHT), said("[100.0, 100.0, 200.0, 150.0]"), 0.5, id="43 decimals"),
        pytest.param(BoxGIoU(), Box(RIGHT), said("[200, 200, 100, 100]"), Unread.NO_AREA, id="44 inverted"),
        pytest.param(BoxGIoU(), Box(RIGHT), said("[100, 100, -100, -100]"), Unread.NO_AREA, id="44 inverted, outside"),
        pytest.param(Format(), ONE, "<answer>b</answer><think>a</think>", 0.0, id="44 other order"),
        pytest.param(Format(), ONE, "<think> </think><answer>b</answer>", 0.0, id="44 empty thoughts"),
        pytest.param(NumberMatch(), Number(3), MULTI_LINE.format("3"), 1.0, id="45 several lines"),
    ],
)
def test_no_reward_has_a_known_fault(reward, truth, text, expected):
    verdict = reward.grade_one(text, make_sample(truth), FRAME)
    assert verdict == (expected if isinstance(expected, Unread) else pytest.approx(expected, abs=1e-7))


def test_13_an_honest_confidence_earns_the_most_in_the_proper_form():
    hit, miss = make_sample(ONE), make_sample(objects((0.0, 0.0, 1.0, 1.0)))
    expected = {}
    for confidence in (0.0, 0.3, 0.5, 0.7, 0.9, 1.0):
        reward, text = DetectionConfidence(proper=True), detected((RIGHT, confidence))
        # a missed object halves the credit of a wrong box
        expected[confidence] = 0.7 * reward.grade_one(text, hit, FRAME) + 0.3 * 2 * reward.grade_one(text, miss, FRAME)
    assert max(expected, key=expected.get) == 0.7


def test_24_every_way_of_writing_coordinates_is_read():
    for space in ("permille", "resized_pixels", "pixels", "unit"):
        frame = answer_frame(space, (2000, 500), (1988, 504))
        text = said(str([round(v, 4) for v in frame.to_answer(RIGHT)]))
        assert BoxIoU().grade_one(text, make_sample(Box(RIGHT)), frame) == pytest.approx(1, abs=1e-3), space


def test_37_the_order_of_writing_changes_no_score():
    """Nor does the hash seed: see `test_properties`."""
    truth = [("change_color", "1", "red"), ("change_color", "2", "blue"), ("change_size", "3", "small")]
    rows = ["change_color(1, blue)", "change_color(2, green)", "change_color(1, red)", "change_size(3, large)"]
    scores = {
        TransformationMatch().grade_one(said(", ".join(order)), make_sample(calls(*true)), None)
        for order in itertools.permutations(rows)
        for true in itertools.permutations(truth)
    }
    assert scores == {(1 + 0.5 + 0.5) / 4}


def test_39_lengths_are_tokens_and_compared_within_a_group():
    """Between groups of 1 and 3 and of 101 and 103 tokens, one range over the batch would be 102 wide."""
    first, second = make_sample(Number(3)), make_sample(Number(3))
    lengths = torch.tensor([1, 3, 101, 103])
    mask = torch.arange(103)[None, :] < lengths[:, None]
    texts = [said("3", "long " * 100), said("3"), said("3"), said("3")]
    scores = LengthPenalty(NumberMatch()).score(make_completions(texts, None, mask), [first, first, second, second])
    assert scores.tolist() == [0.5, -0.5, 0.5, -0.5]


def test_39_the_start_of_the_length_reward_is_written_in_the_configuration():
    reward = LengthPenalty(NumberMatch(), weight=0.05, start=800)
    assert [reward.weight_at(step) for step in (0, 799, 800, 801)] == [0, 0, 0.05, 0.05]

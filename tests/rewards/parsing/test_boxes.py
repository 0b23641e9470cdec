from __future__ import annotations

import json
import math

import pytest
from builders import make_sample
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.answers import Box, Instance, Instances
from vrft_pl.policy.coordinates import DESCRIPTIONS, answer_frame
from vrft_pl.prompts import answer_text
from vrft_pl.rewards.parsing import Detection, Detections, Unread, parse_box, parse_detections
from vrft_pl.rewards.parsing.boxes import MAX_BOXES, MAX_LIST

COORDINATE = st.integers(-5000, 5000).map(lambda v: v / 4)
BOXES = st.tuples(COORDINATE, COORDINATE, st.integers(1, 4000), st.integers(1, 4000)).map(
    lambda v: (v[0], v[1], v[0] + v[2] / 4, v[1] + v[3] / 4)
)
BOX = (1.0, 2.5, 30.0, 40.0)
DOG = Detection(BOX, None, "dog")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[1, 2.5, 30, 40]", id="list"),
        pytest.param("(1,2.5),(30,40)", id="two-corners"),
        pytest.param("[(1,2.5),(30,40)]", id="two-corners-in-a-list"),
        pytest.param("[[1, 2.5], [30, 40]]", id="nested"),
        pytest.param("[[1, 2.5, 30, 40]]", id="list-of-one"),
        pytest.param("1 2.5 30 40", id="blanks"),
        pytest.param("[1,\u30002.5,\x8530,\u2003\xa040\u2028]", id="blanks-of-unicode"),
        pytest.param('{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}', id="qwen"),
        pytest.param('{"bbox_2d": [1, 2.5, 30, 40], "label": "dog 2", "score": 0.9}', id="number-in-the-label"),
        pytest.param('```json\n[\n\t{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}\n]\n```', id="qwen-in-a-fence"),
        pytest.param("{'Position': [1, 2.5, 30, 40], 'Confidence': 1.0,}", id="visual-rft"),
        pytest.param("{bbox: [1, 2.5, 30, 40]}", id="key-without-quotes"),
        pytest.param('{"the dog": [1, 2.5, 30, 40]}', id="name-as-key"),
        pytest.param("{'objects': [{'bbox': [1, 2.5, 30, 40]}]}", id="list-in-a-dictionary"),
        pytest.param("<|box_start|>(1,2.5),(30,40)<|box_end|>", id="special-tokens"),
        pytest.param("<ref>dog</ref><box>[[1, 2.5, 30, 40]]</box>", id="internvl"),
        pytest.param("[1,\n 2.5,\n 3e1,\n +40.0,]", id="lines-exponent-sign-comma"),
        pytest.param("The dog's box is [1, 2.5, 30, 40].", id="words"),
        pytest.param("x1: 1, y1: 2.5, x2: 30, y2: 40", id="named-edges"),
        pytest.param("**Answer:** $[1, 2.5, 30, 40]$ pixels", id="words-and-marks"),
        pytest.param("[１，２．５，３０，４０]。", id="full-width"),
        pytest.param("<|begin_of_box|>[[1, 2.5, 30, 40]]<|end_of_box|>", id="glm"),
        pytest.param("<|ref|>dog<|/ref|><|det|>[[1, 2.5, 30, 40]]<|/det|>", id="deepseek"),
        pytest.param("<ref>dog</ref><box>1 2.5 30 40</box>", id="numbers-in-tags"),
        pytest.param("[1, 2.5, 30, 40] (the dog)", id="words-in-brackets"),
        pytest.param('"[1, 2.5, 30, 40]"', id="quotes"),
        pytest.param('{"bbox_2d": [1, 2.5, 30, 40], "label": "not a dog"}', id="not-in-a-label"),
        pytest.param("<ref>man not in red</ref><box>[[1, 2.5, 30, 40]]</box>", id="not-in-a-reference"),
        pytest.param("Nothing hides the knot: [1, 2.5, 30, 40]", id="no-denial"),
        pytest.param("Of 2 dogs:\n```json\n[1, 2.5, 30, 40]\n```\nThe left one.", id="words-around-a-fence"),
    ],
)
def test_a_box_is_four_numbers_in_any_brackets(text):
    assert parse_box(text) == BOX


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("[1, 2, 3]", Unread.MALFORMED, id="three-numbers"),
        pytest.param("[1, 2, 3, 4, 5]", Unread.MALFORMED, id="five-numbers"),
        pytest.param("[True, 2, 30, 40]", Unread.MALFORMED, id="boolean"),
        pytest.param("box: [True, 2, 3, 40, 50]", Unread.MALFORMED, id="boolean-beside-four-numbers"),
        pytest.param("['1', '2', '30', '40']", Unread.MALFORMED, id="strings"),
        pytest.param("'1', 2, 3, 40, 50", Unread.MALFORMED, id="string-beside-four-numbers"),
        pytest.param("[null, 2, 30, 40]", Unread.MALFORMED, id="null"),
        pytest.param("[1px, 2px, 30px, 40px]", Unread.MALFORMED, id="units"),
        pytest.param("[١, ٢, ٣, ٤]", Unread.MALFORMED, id="arabic-digits"),
        pytest.param("[1,\x1e2, 30, 40]", Unread.MALFORMED, id="a-separator-that-is-white-space-to-re-alone"),
        pytest.param("[1, 2, 30, 40\x1c]", Unread.MALFORMED, id="a-separator-behind-a-number"),
        pytest.param("[+-nan, 1, 2, 3]", Unread.MALFORMED, id="two-signs"),
        pytest.param("box1: 5, 6, 70", Unread.MALFORMED, id="number-in-a-word"),
        pytest.param("2 dogs at [1, 2, 30, 40]", Unread.MALFORMED, id="another-number"),
        pytest.param('{"label": "a 1 2 30 40"}', Unread.MALFORMED, id="numbers-in-a-label-only"),
        pytest.param("[1, 2, 30, 40)", Unread.MALFORMED, id="brackets-that-don't-match"),
        pytest.param("{1, 2, 30, 40}", Unread.MALFORMED, id="set"),
        pytest.param("No Objects", Unread.MALFORMED, id="words"),
        pytest.param("not [1, 2, 30, 40]", Unread.MALFORMED, id="not"),
        pytest.param("Not: [1, 2, 30, 40]", Unread.MALFORMED, id="not-and-a-colon"),
        pytest.param("It is not [1, 2, 30, 40]", Unread.MALFORMED, id="is-not"),
        pytest.param("The box isn't [1, 2, 30, 40].", Unread.MALFORMED, id="is-not-in-short"),
        pytest.param("[1, 2, 30, 40] is wrong", Unread.MALFORMED, id="wrong"),
        pytest.param("[1, 2, 30, 40] (not this one)", Unread.MALFORMED, id="not-in-brackets"),
        pytest.param("{not: [1, 2, 30, 40]}", Unread.MALFORMED, id="not-as-a-key"),
        pytest.param("Not this:\n```json\n[1, 2, 30, 40]\n```", Unread.MALFORMED, id="not-before-a-fence"),
        pytest.param("```json\n[1, 2, 30, 40]\n```\nis wrong", Unread.MALFORMED, id="wrong-behind-a-fence"),
        pytest.param("anything but [1, 2, 30, 40]", Unread.MALFORMED, id="anything-but"),
        pytest.param("[]", Unread.MALFORMED, id="no-numbers"),
        pytest.param("", Unread.MALFORMED, id="empty"),
        pytest.param("[1, 2, 30, 40], [1, 2, 30, 40]", Unread.AMBIGUOUS, id="one-box-twice"),
        pytest.param("[[1, 2, 30, 40], [5, 6, 70, 80]]", Unread.AMBIGUOUS, id="two-boxes"),
        pytest.param("[1, 2, 30, 40] or [5, 6, 70, 80]", Unread.AMBIGUOUS, id="or"),
        pytest.param("(1,2),(30,40),(5,6),(70,80)", Unread.AMBIGUOUS, id="four-points"),
        pytest.param("[[1, 2, 30, 40], [5, 6, 4, 3]]", Unread.AMBIGUOUS, id="one-of-two-has-an-area"),
        pytest.param("[[1, 2, 30, 40], [5, 6, 70, 80], [9", Unread.AMBIGUOUS, id="two-boxes-and-cut"),
        pytest.param("[30, 40, 1, 2]", Unread.NO_AREA, id="corners-swapped"),
        pytest.param("[30, 2, 1, 40]", Unread.NO_AREA, id="left-and-right-swapped"),
        pytest.param("[1, 2, 1, 40]", Unread.NO_AREA, id="no-width"),
        pytest.param("[1, 2, 30, 2]", Unread.NO_AREA, id="no-height"),
        pytest.param("[1, 2, 30, 1e999]", Unread.NOT_FINITE, id="overflow"),
        pytest.param("[nan, 2, 30, 40]", Unread.NOT_FINITE, id="nan"),
        pytest.param("[-inf, -Infinity, inf, Infinity]", Unread.NOT_FINITE, id="infinite"),
        pytest.param("[1, 2, 30, 40", Unread.TRUNCATED, id="bracket-never-closed"),
        pytest.param("[1, 2, 30, 40, 5", Unread.TRUNCATED, id="fifth-number-begun"),
        pytest.param("(1, 2), (30, 40", Unread.TRUNCATED, id="last-point-cut"),
        pytest.param("[[1, 2, 30, 40], [5, 6", Unread.TRUNCATED, id="second-box-begun"),
        pytest.param('[{"bbox_2d": [1, 2, 30, 40], "label": "do', Unread.TRUNCATED, id="string-never-closed"),
        pytest.param("[1, 2, 30, 40]" + " " * 5000, Unread.TOO_LONG, id="too-long"),
        pytest.param("[" * 4000, Unread.TOO_LONG, id="too-deep"),
    ],
)
def test_anything_else_is_no_box(text, reason):
    assert parse_box(text) == reason


@given(st.lists(COORDINATE, min_size=4, max_size=4))
def test_a_box_is_read_back_if_it_has_an_area(values):
    x1, y1, x2, y2 = values
    assert parse_box(str(values)) == (tuple(values) if x2 > x1 and y2 > y1 else Unread.NO_AREA)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('[{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}]', id="qwen"),
        pytest.param('```json\n[{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"},]\n```', id="fence-and-comma"),
        pytest.param('{"BBox": [1, 2.5, 30, 40], "Class": "dog"}', id="one-without-a-list"),
        pytest.param("{'objects': [{'box': [[1, 2.5], [30, 40]], 'name': 'dog'}]}", id="dictionary-of-a-list"),
        pytest.param("[{Position: [1, 2.5, 30, 40], category: dog}]", id="no-quotes"),
        pytest.param('[1, 2.5, 30, 40, "dog"]', id="label-after-the-box"),
        pytest.param('[{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}, {"bbox_2d": [5, 6, 7', id="cut-in-a-box"),
        pytest.param('[{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}, {"bbox', id="cut-in-a-key"),
        pytest.param('[{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}', id="cut-after-an-entry"),
        pytest.param('{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}, {"bbox_2d": [5, 6', id="cut-without-a-list"),
    ],
)
def test_a_list_of_one_object_is_read_in_any_notation(text):
    assert parse_detections(text) == Detections((DOG,), 0)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("[[1, 2, 3, 4], [5, 6, 7, 8]]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("[5, 6, 7, 8]\n[1, 2, 3, 4]", [(5, 6, 7, 8), (1, 2, 3, 4)]),
        ("(1,2),(3,4)", [(1, 2, 3, 4)]),
        ("(1,2),(3,4),(5,6),(7,8)", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("[[1, 2], [3, 4]], [[5, 6], [7, 8]]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("[1, 2, 3, 4]", [(1, 2, 3, 4)]),
        ("1, 2, 3, 4", [(1, 2, 3, 4)]),
        ("[1, 2, 3, 4], [5, 6, 7", [(1, 2, 3, 4)]),
        ("[[1, 2, 3, 4], [5, 6, 7, 8", [(1, 2, 3, 4)]),
        ("[]", []),
        ("{'objects': []}", []),
        ("No Objects", []),
        ("no objects.", []),
        ("**NO_OBJECTS**", []),
        ("['No Objects']", []),
    ],
)
def test_boxes_without_more_are_read_in_the_order_of_writing(text, boxes):
    assert parse_detections(text) == Detections(tuple(Detection(box, None, None) for box in boxes), 0)


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [("0.5", 0.5), ("1", 1.0), ("-5", -5.0), ("10", 10.0), ("true", None), ("nan", None),
     ("1e999", None), ("null", None)],
)  # fmt: skip
def test_a_confidence_is_a_finite_number_in_any_range(confidence, expected):
    for text in (f"[{{'Position': [1, 2.5, 30, 40], 'Confidence': {confidence}}}]", f"[1, 2.5, 30, 40, {confidence}]"):
        detections = parse_detections(text)
        assert [item[:2] for item in detections.items] == [(BOX, expected)]


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [("'0.9'", 0.9), ('"0.95"', 0.95), ("'90%'", 0.9), ("90%", 0.9), ("' 90 % '", 0.9), ("'high'", None),
     ("'1e999'", None), ("''", None), ("'0.9 0.8'", None)],
)  # fmt: skip
def test_a_confidence_under_its_key_may_be_a_string(confidence, expected):
    detections = parse_detections(f"[{{'Position': [1, 2.5, 30, 40], 'Confidence': {confidence}}}]")
    assert detections.items == (Detection(BOX, expected, None),)


def test_a_string_behind_a_box_is_a_label():
    assert parse_detections("[1, 2.5, 30, 40, '0.5']").items == (Detection(BOX, None, "0.5"),)


QWEN = '{"bbox_2d": [1, 2.5, 30, 40], "label": "dog"}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"[{QWEN}, {QWEN}].", id="full-stop"),
        pytest.param(f"Here are the dogs:\n```json\n[{QWEN}, {QWEN}]\n```", id="words-before-a-fence"),
        pytest.param(f"```json\n[{QWEN}, {QWEN}]\n```\nThat is all.", id="words-after-a-fence"),
        pytest.param(f"1. {QWEN}\n2. {QWEN}", id="numbered"),
        pytest.param(f"- {QWEN}\n- {QWEN}", id="bullets"),
    ],
)
def test_a_list_is_read_in_the_habits_of_models(text):
    assert parse_detections(text) == Detections((DOG, DOG), 0)


def test_words_around_a_fence_that_deny_are_no_answer():
    assert parse_detections(f"Not these:\n```json\n[{QWEN}]\n```") is Unread.MALFORMED


def test_tokens_around_boxes_are_read_over():
    one, two = "<|box_start|>(1,2),(3,4)<|box_end|>", "<|box_start|>(5,6),(7,8)<|box_end|>"
    boxes = tuple(Detection(box, None, None) for box in ((1, 2, 3, 4), (5, 6, 7, 8)))
    assert parse_detections(one + two) == Detections(boxes, 0)
    assert parse_detections("<|det|>[[1, 2, 3, 4]]<|/det|>") == Detections(boxes[:1], 0)
    assert parse_detections("<box>1 2 3 4</box><box>5 6 7 8</box>") == Detections(boxes, 0)


BIRD, CAT = Detection((5.0, 6.0, 7.0, 8.0), None, "a bird"), Detection((5.0, 6.0, 7.0, 8.0), None, "cat")
PETS = ("dog", "cat")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("<ref>dog</ref><box>[[1, 2.5, 30, 40]]</box>", (DOG,)),
        ("<ref>dog</ref><box>[[1, 2.5, 30, 40], [1, 2.5, 30, 40]]</box><ref>cat</ref><box>[[5,6,7,8]]</box>",
         (DOG, DOG, CAT)),
        ("<ref>dog</ref><box>1 2.5 30 40</box>, <ref>a bird</ref><box>5 6 7 8</box>", (DOG, BIRD)),
        ("<|ref|>dog<|/ref|><|det|>[[1, 2.5, 30, 40]]<|/det|>", (DOG,)),
        ("<|object_ref_start|>dog<|object_ref_end|><|box_start|>(1,2.5),(30,40)<|box_end|>", (DOG,)),
        ("dog: [1, 2.5, 30, 40]", (DOG,)),
        ("Dog: [1, 2.5, 30, 40]\ncat: [5, 6, 7, 8]", (DOG, CAT)),
        ("dogs: [1, 2.5, 30, 40], [1, 2.5, 30, 40]", (DOG, DOG)),
        ("1. dog: [1, 2.5, 30, 40]\n2. cat: [5, 6, 7, 8]", (DOG, CAT)),
        ("[1, 2.5, 30, 40] (dog), [5, 6, 7, 8] (cat)", (DOG, CAT)),
        ("[1, 2.5, 30, 40] dog; [5, 6, 7, 8] cat", (DOG, CAT)),
        ('{"dog": [1, 2.5, 30, 40], "cat": [[5, 6, 7, 8]]}', (DOG, CAT)),
        ("[[1,2.5,30,40]] (dog)", (DOG,)),
        ("dog: {'bbox': [1, 2.5, 30, 40], 'score': 0.5}", (DOG._replace(confidence=0.5),)),
        ("dog: [1, 2.5, 30, 40, 0.5]", (DOG._replace(confidence=0.5),)),
        ("dog: [1, 2.5, 30, 40], cat: [5, 6", (DOG,)),
        ("[1，2.5，30，40]", (DOG._replace(label=None),)),
    ],
)  # fmt: skip
def test_a_label_may_stand_beside_its_boxes(text, items):
    assert parse_detections(text, PETS) == Detections(items, 0)


@pytest.mark.parametrize(
    "text",
    [
        "Here: [1, 2, 3, 4]",
        "bird: [1, 2, 3, 4]",
        "'Here' [1, 2, 3, 4]",
        "not dog: [1, 2, 3, 4]",
        "dog or [1, 2, 3, 4]",
        "dog: [1, 2, 3, 4] or cat: [5, 6, 7, 8]",
        "[1, 2, 3, 4], [5, 6, 7, 8] (dog)",
        "[1, 2, 3, 4] (dog) [5, 6, 7, 8]",
        "dog: cat: 7",
        "dog",
        "dog:",
        "(dog)",
    ],
)
def test_no_other_word_stands_beside_a_box(text):
    assert parse_detections(text, PETS) == Unread.MALFORMED


@pytest.mark.parametrize(
    "text", ["None", "none.", "No Objects found", "No objects were detected in the image.", "nothing", "**No Objects**",
             "There are no dogs.", "There is no dog in the picture.", "No dogs found", "no dog", "No hot dogs"],
)  # fmt: skip
def test_nothing_to_find_is_said_in_a_few_ways(text):
    assert parse_detections(text, ("hot dog",) if "hot" in text else ("dog",)) == Detections((), 0)


@pytest.mark.parametrize(
    "text",
    ["There are no cats.", "No dogs, but a cat", "no", "There are dogs", "No doubt", "not none", "No Objects or one",
     "No objects" + " " * 300 + "[1, 2, 3, 4]", "There are no dogs or cats", "No dogs [1, 2, 3, 4]", "null",
     "No Dogs!?x"],
)  # fmt: skip
def test_what_denies_something_else_finds_nothing_out(text):
    assert parse_detections(text, ("dog",)) == Unread.MALFORMED
    assert parse_detections("There are no dogs.", PETS) == Unread.MALFORMED


@pytest.mark.parametrize("text", ['{"box_2d": [2.5, 1, 40, 30], "label": "dog"}',
                                  '[{"box_2d": [2.5, 1, 40, 30], "label": "dog"}]',
                                  '{"box_2d": [2.5, 1, 40, 30]}'])  # fmt: skip
def test_a_box_of_gemini_is_read_where_its_order_of_edges_is_that_of_the_policy(text):
    label = "dog" if "label" in text else None
    assert parse_box(text) == parse_detections(text, PETS) == Unread.MALFORMED
    assert parse_box(text, y_first=True) == (2.5, 1, 40, 30)
    assert parse_detections(text, PETS, y_first=True) == Detections((Detection((2.5, 1, 40, 30), None, label),), 0)


def test_boxes_after_the_first_thousand_are_wrong():
    for count in (MAX_BOXES, MAX_BOXES + 1, 1900):
        detections = parse_detections(f"[[1, 2], {'[1,1,2,2],' * count}]")
        assert len(detections.items) == MAX_BOXES
        assert detections.unreadable == count - MAX_BOXES + 1


@pytest.mark.parametrize(
    "entry",
    ["[1, 2, 3]", "[3, 4, 1, 2]", "[1, 2, 3, 1e999]", "[True, 2, 3, 4]", "['1', 2, 3, 4]", "{}", "7", "'dog'",
     "{'Position': 3}", "{'label': 'dog'}", "[]", "null"],
)  # fmt: skip
def test_an_entry_that_is_no_box_is_counted(entry):
    assert parse_detections(f"[[1, 2.5, 30, 40], {entry}]") == Detections((Detection(BOX, None, None),), 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Unread.EMPTY),
        ("```json\n```", Unread.EMPTY),
        ("the dog", Unread.MALFORMED),
        (",", Unread.MALFORMED),
        ("Here: [[1, 2, 3, 4]]", Unread.MALFORMED),
        ("Here:\n```\n[[1, 2, 3, 4]]", Unread.MALFORMED),
        ("```\n[[1, 2, 3, 4]]\n``` or\n```\n[[1, 2, 3, 5]]\n```", Unread.MALFORMED),
        ("No Objects, [1, 2, 3, 4]", Unread.MALFORMED),
        ("[1, 2, 3]", Unread.MALFORMED),
        ("[{'Position': 3}]", Unread.MALFORMED),
        ("[[]]", Unread.MALFORMED),
        ("[[1, 2, 3, 4}]", Unread.MALFORMED),
        ("{'a' 'b': [1, 2, 3, 4]}", Unread.MALFORMED),
        ("{'Position': }", Unread.MALFORMED),
        ("[[3, 4, 1, 2]]", Unread.NO_AREA),
        ("[[1, 2, 3, inf]]", Unread.NOT_FINITE),
        ("[", Unread.TRUNCATED),
        ("[1, 2, 3, 4, 0.9", Unread.TRUNCATED),
        ("[{'Position': [1, 2, 3, 4]", Unread.TRUNCATED),
        ("[" * 20, Unread.TOO_LONG),
        (" " * (MAX_LIST + 1), Unread.TOO_LONG),
    ],
)
def test_anything_else_is_no_list_of_boxes(text, reason):
    assert parse_detections(text) == reason


@given(st.lists(BOXES, max_size=8), st.sampled_from([json.dumps, repr]))
def test_a_list_of_bare_boxes_is_read_back(boxes, write):
    expected = tuple(Detection(box, None, None) for box in boxes)
    assert parse_detections(write([list(box) for box in boxes])) == Detections(expected, 0)


@given(
    st.lists(st.builds(Detection, BOXES, st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8))),
    st.sampled_from([json.dumps, repr, lambda rows: json.dumps(rows, ensure_ascii=False, indent=1)]),
)
def test_a_list_of_objects_is_read_back(items, write):
    rows = [{"Position": list(d.xyxy), "Confidence": d.confidence, "Label": d.label} for d in items]
    assert parse_detections(write(rows)) == Detections(tuple(items), 0)


PICTURE_BOXES = st.tuples(*[st.floats(0, 300)] * 2, *[st.floats(0.5, 300)] * 2).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)


@pytest.mark.parametrize("space", DESCRIPTIONS)
@given(boxes=st.lists(PICTURE_BOXES, max_size=4), categories=st.sampled_from([("dog",), ("dog", "child's toy")]))
def test_boxes_are_read_back_as_supervised_training_writes_them(space, boxes, categories):
    frame = answer_frame(space, (640, 613), (1280, 240))
    items = tuple(Instance(box, categories[-1]) for box in boxes)
    answers = [parse_box(answer_text(make_sample(Box(box)), frame), frame.y_first) for box in boxes]
    detections = parse_detections(answer_text(make_sample(Instances(items, categories, "a.jpg")), frame))
    label = categories[1] if len(categories) > 1 else None
    assert detections == Detections(tuple(Detection(box, 1.0, label) for box in answers), 0)
    for box, answer in zip(boxes, answers, strict=True):
        steps = (frame.scale_x, frame.scale_y) * 2
        step = 1.01 * 10.0**-frame.decimals
        assert all(abs(a - b) <= s * step for a, b, s in zip(frame.to_pixels(answer), box, steps, strict=True))


@given(st.text(alphabet="0123456789.,-+eE[](){}:' \n<>/aN\\", max_size=60))
def test_whatever_is_read_has_an_area(text):
    box, detections = parse_box(text), parse_detections(text)
    boxes = [] if isinstance(box, Unread) else [box]
    boxes += [] if isinstance(detections, Unread) else [item.xyxy for item in detections.items]
    for x1, y1, x2, y2 in boxes:
        assert all(map(math.isfinite, (x1, y1, x2, y2)))
        assert x2 > x1
        assert y2 > y1

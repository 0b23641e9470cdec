from __future__ import annotations

import pytest
from timing import seconds
from transformers.models.kosmos2.processing_kosmos2 import patch_index_to_coordinate

from vrft_pl.rewards.parsing import Detection, Detections, Unread, parse_box, parse_detections, read_answer
from vrft_pl.rewards.parsing.points import PointList, parse_points
from vrft_pl.rewards.parsing.tokens import with_boxes

PALIGEMMA = "<loc0100><loc0200><loc0300><loc0400> cat ; <loc0001><loc0002><loc0003><loc0004> dog"
FLORENCE = "cat<loc_100><loc_200><loc_300><loc_400>dog<loc_1><loc_2><loc_3><loc_4>"
CAT, DOG = Detection((100.0, 200.0, 300.0, 400.0), None, "cat"), Detection((1.0, 2.0, 3.0, 4.0), None, "dog")


@pytest.mark.parametrize("text", [PALIGEMMA, FLORENCE])
def test_location_tokens_are_labelled_boxes(text):
    assert parse_detections(text, ("cat", "dog")) == Detections((CAT, DOG), 0)
    assert parse_detections(text) == Detections((CAT, DOG), 0)
    assert isinstance(parse_box(text), Unread)


@pytest.mark.parametrize(
    "text",
    [
        "<loc0100><loc0200><loc0300><loc0400> the cat",
        "<loc0100><loc0200><loc0300><loc0400>",
        "the cat<loc_100><loc_200><loc_300><loc_400>",
        "<loc_100><loc_200><loc_300><loc_400>",
        "The cat is at <loc_100><loc_200><loc_300><loc_400>.",
    ],
)
def test_one_box_of_tokens_is_a_box(text):
    assert parse_box(text) == CAT.xyxy


def test_boxes_of_one_name_may_stand_together():
    text = "cat<loc_100><loc_200><loc_300><loc_400><loc_1><loc_2><loc_3><loc_4>"
    assert parse_detections(text) == Detections((CAT, DOG._replace(label="cat")), 0)


@pytest.mark.parametrize(
    "text",
    [
        "not<loc_100><loc_200><loc_300><loc_400>",
        "It is not <loc_100><loc_200><loc_300><loc_400>",
        "<loc0100><loc0200><loc0300><loc0400> is wrong",
        "<loc0100><loc0200><loc0300> cat",
        "<loc0100><loc0200><loc0300><loc0400><loc0500> cat",
        "cat<loc_100><loc_200><loc_300>",
        "cat<loc_100><loc_200><loc_300><loc_400><loc_5>",
        "<phrase>cat</phrase><object><patch_index_0001></object>",
        "<phrase>not</phrase><object><patch_index_0000><patch_index_0393></object>",
        "<loc_100>",
        "<phrase>cat</phrase>",
    ],
)
def test_tokens_that_are_denied_or_are_no_four_edges_are_no_box(text):
    assert isinstance(parse_box(text), Unread)
    found = parse_detections(text, ("cat",))
    assert isinstance(found, Unread) or found.items == ()


@pytest.mark.parametrize(("first", "last"), [(44, 863), (0, 0), (5, 9), (3, 99), (195, 393)])
def test_cells_are_placed_as_kosmos_places_them(first, last):
    text = f"<phrase>a dog</phrase><object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    expected = tuple(32 * edge for edge in patch_index_to_coordinate(first, last, 32))
    assert parse_box(text) == pytest.approx(expected)
    assert parse_detections(text).items[0].label == "a dog"


def test_several_cells_of_one_phrase_are_several_boxes():
    text = "<patch_index_0000><patch_index_0393></delimiter_of_multi_objects/><patch_index_0001><patch_index_0393>"
    found = parse_detections(f"<phrase>dogs</phrase><object>{text}</object>")
    assert [item.label for item in found.items] == ["dogs", "dogs"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<point x="61.5" y="40.4" alt="dog">dog</point>', ((61.5, 40.4),)),
        ('<points x1="1" y1="2.5" x2="30" y2="40" alt="dogs">dogs</points>', ((1, 2.5), (30, 40))),
        ("<point x='1' y='2'>a</point> <point x='3' y='4'>b</point>", ((1, 2), (3, 4))),
        ('<point x="1">dog</point>', Unread.MALFORMED),
        ('<points x1="1" y2="2">dogs</points>', Unread.MALFORMED),
        ('<points x1="1" y1="2" x2="3">dogs</points>', Unread.MALFORMED),
        ('<point x="nan" y="2">dog</point>', Unread.MALFORMED),
        ('not <point x="1" y="2">dog</point>', Unread.MALFORMED),
        ('Counting the <point x="1" y="2">dog</point> shows 1.', Unread.MALFORMED),
    ],
)
def test_tags_of_molmo_are_points(text, expected):
    found = parse_points(text)
    assert found == (expected if isinstance(expected, Unread) else PointList(expected, 0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u25c1think\u25b7One.\u25c1/think\u25b7[1, 2, 3, 4]", "[1, 2, 3, 4]"),
        ("One.\u25c1/think\u25b7 3", "3"),
        ("\u25c1think\u25b7One. 3", Unread.NO_ANSWER),
        ("3 \u25c1think\u25b7One.\u25c1/think\u25b7 4", Unread.NO_ANSWER),
    ],
)
def test_thoughts_of_kimi_are_passed_over(text, expected):
    read = read_answer(text, "answer")
    assert read == expected or (isinstance(expected, Unread) and isinstance(read, Unread))


@pytest.mark.parametrize("text", ["<loc0001>" * 2000, "a<loc_1>" * 2000, "<phrase>" * 2000, "<loc" + "x" * 19_000,
                                  "<phrase>a</phrase><object>" * 700, "<loc_" * 4000])  # fmt: skip
def test_heaps_of_tokens_take_no_time(text):
    assert seconds(lambda: with_boxes(text)) < 0.05

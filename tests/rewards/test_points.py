"""Counting by pointing: each object once, and nothing else."""

from __future__ import annotations

import itertools

import pytest
from builders import PIXELS, make_sample

from vrft_pl.answers import AnswerFrame, Points
from vrft_pl.prompts import question, target_text
from vrft_pl.rewards import PointCount, PointMatch, Unread, answered_marks

LEFT, RIGHT, SMALL = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (4.0, 4.0, 6.0, 6.0)
TWO = Points((LEFT, RIGHT))


def graded(answer, truth=TWO, reward=None, frame=PIXELS):
    return (reward or PointMatch()).grade_one(answer, make_sample(truth, "answer"), frame)


@pytest.mark.parametrize(
    ("answer", "places", "count"),
    [
        pytest.param("[[5, 5], [25, 5]]", 1.0, 1.0, id="both"),
        pytest.param("(25, 5), (5, 5)", 1.0, 1.0, id="other-order"),
        pytest.param(
            '```json\n[{"point_2d": [5, 5], "label": "dog"}, {"point_2d": [25, 5]}]\n```', 1.0, 1.0, id="qwen"
        ),
        pytest.param('{"points": [[5, 5], [25, 5]]}', 1.0, 1.0, id="under-a-key"),
        pytest.param("[5, 5]", 0.5, 0.0, id="one-missed"),
        pytest.param("[[5, 5], [6, 6]]", 0.5, 1.0, id="one-twice"),
        pytest.param("[[5, 5], [25, 5], [90, 90]]", 2 / 3, 0.0, id="one-too-many"),
        pytest.param("[[5, 5], [25, 5], 'dog']", Unread.MALFORMED, Unread.MALFORMED, id="a-word"),
        pytest.param("[[5, 5], [25, 5], [1, 2, 3, 4]]", 2 / 3, 0.0, id="a-box-is-no-point"),
        pytest.param("[[15, 5], [-5, 5]]", 0.0, 1.0, id="beside"),
        pytest.param("[[10, 10], [20, 0]]", 1.0, 1.0, id="on-the-edges"),
        pytest.param("[[0, 0, 10, 10], [20, 0, 30, 10]]", Unread.MALFORMED, Unread.MALFORMED, id="boxes"),
        pytest.param("No Objects", 0.0, 0.0, id="none"),
        pytest.param("2", Unread.MALFORMED, Unread.MALFORMED, id="a-number"),
        pytest.param("[[1e999, 0]]", Unread.MALFORMED, Unread.MALFORMED, id="infinite"),
        pytest.param("[[1e999, 5], [5, 5]]", 0.5, 0.0, id="one-infinite"),
        pytest.param("[[1, 2, 3], [5, 5]]", 0.5, 0.0, id="one-of-three-numbers"),
        pytest.param("", Unread.EMPTY, Unread.EMPTY, id="empty"),
        pytest.param(f"[{'[5, 5], ' * 1500}]", 1 / 1500, 0.0, id="a-heap"),
    ],
)
def test_places_and_their_number_are_rewarded_apart(answer, places, count):
    expected = places if isinstance(places, Unread) else pytest.approx(places)
    assert graded(answer) == expected
    assert graded(answer, reward=PointCount()) == count


def test_points_are_paired_so_that_most_objects_have_one():
    """A point in the middle is on both; greedy pairing would spend it on the large one."""
    truth = Points((LEFT, SMALL))
    for order in itertools.permutations(["[5, 5]", "[1, 1]"]):
        assert graded(f"[{', '.join(order)}]", truth) == 1
        assert graded(f"[{', '.join(order)}]", Points(truth.places[::-1])) == 1


@pytest.mark.parametrize(("answer", "expected"), [("No Objects", 1), ("[]", 1), ("none", 1), ("[[5, 5]]", 0)])
def test_where_there_is_nothing_no_point_is_right(answer, expected):
    assert graded(answer, Points(())) == expected
    assert graded(answer, Points(()), PointCount()) == expected


def test_an_object_of_which_a_point_is_known_is_hit_nearby():
    truth = Points(((50.0, 50.0),))
    assert [graded(f"[{x}, 50]", truth) for x in (50, 55, 56)] == [1, 1, 0]
    assert graded("[62, 50]", truth, PointMatch(radius=0.12)) == 1


def test_the_middle_of_the_smallest_object_can_be_written():
    frame = AnswerFrame(640, 480, 0.64, 0.48)
    for x in (0.1, 33.3, 100.21):
        truth = Points(((x, x, x + 0.01, x + 0.01),))
        assert graded(target_text(make_sample(truth, "answer"), frame), truth, frame=frame) == 1


def test_y_comes_first_where_the_policy_writes_so():
    frame = AnswerFrame(100, 50, 0.1, 0.05, y_first=True)
    sample = make_sample(Points(((80.0, 0.0, 90.0, 10.0),)), "answer")
    assert target_text(sample, frame) == "[[100, 850]]"
    assert graded("[[100, 850]]", sample.solution, frame=frame) == 1
    assert "points [y, x] in thousandths, y first, one on each" in question(sample, "thousandths, y first")


def test_points_without_a_picture_are_not_read():
    assert graded("[[5, 5]]", frame=None) is Unread.NO_PICTURE


def test_points_are_drawn_as_small_squares():
    sample = make_sample(TWO, "answer")
    [mark] = answered_marks(TWO, "[[5, 5]]", sample, PIXELS)
    assert mark.shape == (2, 2, 8, 8)
    assert [mark.shape for mark in TWO.marks()] == [LEFT, RIGHT]
    assert answered_marks(TWO, "two", sample, PIXELS) is None


def test_constants_spread_as_many_points_as_there_are_objects():
    constants = Points.constants([TWO, Points((LEFT,)), Points(())], [PIXELS] * 3)
    assert constants[0] == "No Objects"
    assert "[[500, 500]]" in constants
    assert "[[250, 250], [750, 250]]" in constants


@pytest.mark.parametrize("radius", [0, -1, 1.5])
def test_a_radius_is_a_share_of_the_picture(radius):
    with pytest.raises(ValueError, match="Expected `radius` to be a share of the image in"):
        PointMatch(radius=radius)

"""Grounding where nothing may be there: both directions are scored."""

from __future__ import annotations

import pytest
from builders import PIXELS, make_completions, make_record, make_sample

from vrft_pl.answers import Box, Mask
from vrft_pl.data import Grounding, GroundingScenes
from vrft_pl.metrics import GroundingIoU, MaskIoU
from vrft_pl.prompts import question, target_text
from vrft_pl.rewards import BoxAccuracy, BoxGIoU, BoxIoU, Unread, answered_marks
from vrft_pl.types import InputError

THERE, NOT_THERE = Box((0.0, 0.0, 10.0, 10.0), optional=True), Box(None, optional=True)
SURE = Box((0.0, 0.0, 10.0, 10.0))
REWARDS = [BoxIoU(), BoxIoU(threshold=0.5), BoxAccuracy(), BoxGIoU()]


@pytest.mark.parametrize("reward", REWARDS, ids=lambda reward: f"{reward.name}{vars(reward).get('threshold', '')}")
@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        (NOT_THERE, "No Objects", 1.0),
        (NOT_THERE, "no objects.", 1.0),
        (NOT_THERE, "None", 1.0),
        (NOT_THERE, "[]", 1.0),
        (NOT_THERE, "[0, 0, 10, 10]", 0.0),
        (NOT_THERE, "[300, 300, 400, 400]", 0.0),
        (NOT_THERE, "", Unread.EMPTY),
        (NOT_THERE, "perhaps", Unread.MALFORMED),
        (THERE, "No Objects", 0.0),
        (THERE, "[0, 0, 10, 10]", 1.0),
        (THERE, "No Objects [0, 0, 10, 10]", 1.0),
        (SURE, "No Objects", Unread.MALFORMED),
        (SURE, "[0, 0, 10, 10]", 1.0),
    ],
)
def test_a_box_and_none_are_right_where_they_are(reward, truth, answer, expected):
    assert reward.grade_one(answer, make_sample(truth, "answer"), PIXELS) == expected


def test_the_question_does_not_tell_whether_it_is_there():
    asked = {question(make_sample(truth, "answer"), "pixels") for truth in (THERE, NOT_THERE)}
    assert asked == {"Question? Answer with a box [x1, y1, x2, y2] in pixels, or No Objects, only."}
    assert "No Objects" not in question(make_sample(SURE, "answer"), "pixels")


def test_the_truth_is_written_drawn_and_earns_everything():
    sample = make_sample(NOT_THERE, cot="I look.")
    text = target_text(sample, PIXELS)
    assert text == "<think>I look.</think><answer>No Objects</answer>"
    assert [reward.grade_one(text, sample, PIXELS) for reward in REWARDS] == [1] * 4
    assert NOT_THERE.marks() == ()
    assert answered_marks(NOT_THERE, text, sample, PIXELS) == ()
    assert Box.constants([THERE, NOT_THERE], [PIXELS] * 2)[0] == "No Objects"
    assert "No Objects" not in Box.constants([SURE], [PIXELS])


def test_metrics_count_both_directions():
    samples = [make_sample(truth, "answer") for truth in (NOT_THERE, NOT_THERE, THERE, THERE)]
    metric = GroundingIoU()
    metric.update(make_completions(["No Objects", "[0, 0, 9, 9]", "No Objects", "[0, 0, 10, 10]"]), samples)
    assert metric.compute()["GroundingIoU"] == 0.5
    masks = MaskIoU()
    empty = Box(None, Mask(()), optional=True)
    masks.update(make_completions(["No Objects", "[0, 0, 9, 9]"]), [make_sample(empty, "answer")] * 2)
    assert masks.compute()["MaskIoU/gIoU"] == 0.5


@pytest.mark.parametrize("answer", ["No Objects", "<answer>no objects</answer>", NOT_THERE])
def test_rows_without_a_box_are_read_where_the_task_allows_for_them(answer):
    record = make_record(answer)
    assert Grounding(negatives=True).solution(record) == NOT_THERE
    with pytest.raises(InputError, match="row 7: expected the answer to be a box, but got 'No Objects'. Allow for"):
        Grounding().solution(record)
    assert Grounding(negatives=True).solution(make_record([0, 0, 10, 10])) == THERE
    assert Grounding().solution(make_record([0, 0, 10, 10])) == SURE


def test_scenes_ask_for_what_is_not_there():
    plain, mixed = GroundingScenes(size=60), GroundingScenes(size=60, negatives=0.5)
    negatives = [record for record in mixed if record.answer.xyxy is None]
    assert 15 < len(negatives) < 45
    for record in negatives:
        shapes = {f"Locate the {shape.colour} {shape.kind}." for shape in record.images[0].shapes}
        assert record.problem not in shapes
        assert shapes
    assert all(record.answer.xyxy is not None for record in plain)
    with pytest.raises(ValueError, match="Expected `negatives` to be a share between 0 and 1, but got 2"):
        GroundingScenes(negatives=2)


def test_a_box_is_missing_only_where_the_question_allows_it():
    with pytest.raises(ValueError, match="Expected `optional` where there is no box"):
        Box(None)

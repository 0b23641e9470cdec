import pytest
import torch
from builders import make_completions

from vrft_pl.answers import AnswerFrame, Box, Instance, Instances, Mask, Number
from vrft_pl.runs import CompletionRecord, Key, describe
from vrft_pl.types import Sample

FRAME = AnswerFrame(100, 50, 0.1, 0.05)


def told(solution, texts, scores, failures, frame=None):
    sample = Sample("row 7", (), "How many?", solution, style="answer", split="id", tags=("dots",))
    completions = make_completions(texts, frame)
    grades = {"R": torch.tensor(scores)}, {"R": torch.tensor(failures)}
    return [describe(Key(3, 1, i), "id", sample, completions, i, *grades).record for i in range(len(texts))]


def test_a_record_is_known_by_its_step_its_rank_and_its_row():
    assert [tuple(r.key) for r in told(Number(3.0), ["3", "4"], [1.0, 0.0], [0, 0])] == [(3, 1, 0), (3, 1, 1)]


def test_a_record_holds_what_each_reward_said_of_the_completion():
    read, unread, left_out = told(Number(3.0), ["3", "x", "y"], [1 / 3, 0.0, 0.0], [0, 1, -1])
    assert (read.scores, read.parse_failures) == ({"R": 0.333333}, {})
    assert unread.scores == {"R": 0.0}
    assert list(unread.parse_failures) == ["R"]
    assert (left_out.scores, left_out.parse_failures) == ({}, {})
    assert (read.answer, read.tags) == ("3", ("id", "dots"))


def test_a_record_is_what_it_was_when_it_is_read_again():
    (record,) = told(Box((10, 5, 20, 15)), ["[100, 100, 500, 900]"], [0.5], [0], FRAME)
    assert record.boxes == [[10.0, 5.0, 50.0, 45.0]]
    assert CompletionRecord.from_json(record.row_of_json()) == record


def mark(*shape, label="", faint=False):
    return {"shape": list(shape), "label": label, "faint": faint}


def test_a_record_holds_the_marks_of_truth_and_answer_and_where_they_are():
    outline = (10.0, 5.0, 20.0, 5.0, 20.0, 15.0)
    truth = Box((10, 5, 20, 15), Mask((outline,)))
    read, unread = told(truth, ["[100, 100, 500, 900]", "there"], [0.5, 0.0], [0, 1], FRAME)
    assert (read.size, unread.size) == ((100, 50), (100, 50))
    assert read.truth == unread.truth == (mark(*outline), mark(10, 5, 20, 15))
    assert (read.marks, unread.marks) == ((mark(10.0, 5.0, 50.0, 45.0),), None)


def test_marks_of_objects_carry_their_categories_where_several_are_asked_for():
    items = Instance((10, 5, 20, 15), "dog"), Instance((50, 5, 70, 45), "cat", crowd=True)
    text = "[{'Position': [0, 0, 500, 1000], 'Confidence': 0.5, 'Label': 'cat'}, {'Position': [0, 0, 10, 20]}]"
    for categories, labels in ((("dog", "cat"), ("cat", "dog", "cat 0.50", "?")), (("dog",), ("", "", "0.50", ""))):
        (record,) = told(Instances(items, categories, "a.jpg"), [text], [0.5], [0], FRAME)
        assert record.truth == (mark(50, 5, 70, 45, label=labels[0], faint=True), mark(10, 5, 20, 15, label=labels[1]))
        assert record.marks == (mark(0, 0, 50, 50, label=labels[2]), mark(0, 0, 1, 1, label=labels[3]))


def test_an_answer_of_no_objects_is_told_from_one_that_cannot_be_read():
    nothing, unread = told(Instances((), ("dog",), "a.jpg"), ["No Objects", "there"], [1.0, 0.0], [0, 1], FRAME)
    assert [CompletionRecord.from_json(r.row_of_json()).marks for r in (nothing, unread)] == [(), None]


def test_a_record_of_a_time_without_pictures_is_read():
    (record,) = told(Number(3.0), ["3"], [1.0], [0])
    row = record.row_of_json()
    assert not {"pictures", "size", "truth", "marks"} & row.keys()
    old = CompletionRecord.from_json(row | {"boxes": [[1.0, 2.0, 3.0, 4.0]]})
    assert (old.pictures, old.size, old.truth, old.marks) == ((), None, (), None)
    assert old.boxes == [[1.0, 2.0, 3.0, 4.0]]


def test_names_that_a_later_version_adds_are_no_obstacle():
    (record,) = told(Number(3.0), ["3"], [1.0], [0])
    assert CompletionRecord.from_json(record.row_of_json() | {"tokens": 9}) == record


def test_a_record_without_a_text_is_none():
    with pytest.raises(TypeError, match="completion"):
        CompletionRecord.from_json({"step": 0})

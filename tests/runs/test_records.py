import pytest
import torch
from builders import make_completions

from vrft_pl.answers import AnswerFrame, Box, Number
from vrft_pl.runs import CompletionRecord, Key, describe
from vrft_pl.types import Sample


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
    frame = AnswerFrame(100, 50, 0.1, 0.05)
    (record,) = told(Box((10, 5, 20, 15)), ["[100, 100, 500, 900]"], [0.5], [0], frame)
    assert record.boxes == [[10.0, 5.0, 50.0, 45.0]]
    assert CompletionRecord.from_json(record.row_of_json()) == record


def test_names_that_a_later_version_adds_are_no_obstacle():
    (record,) = told(Number(3.0), ["3"], [1.0], [0])
    assert CompletionRecord.from_json(record.row_of_json() | {"tokens": 9}) == record


def test_a_record_without_a_text_is_none():
    with pytest.raises(TypeError, match="completion"):
        CompletionRecord.from_json({"step": 0})

import pytest
import torch
from builders import make_sample

from vrft_pl.answers import AnswerFrame, Box, Number
from vrft_pl.check.gold import gold_sample, shortfall
from vrft_pl.prompts import target_text
from vrft_pl.rewards import BoxIoU, Grades, NumberMatch


@pytest.mark.parametrize(
    ("reward", "solution", "score", "expected"),
    [
        pytest.param(BoxIoU(), Box((0, 0, 3, 3)), 0.9, ("note", "Rounding of coordinates costs 1"), id="little-lost"),
        pytest.param(BoxIoU(), Box((0, 0, 3, 3)), 0.6, ("warning", "Rounding of coordinates costs 1"), id="much-lost"),
        pytest.param(BoxIoU(), Box((0, 0, 3, 3)), 0.4, ("error", "1 right answers do not earn"), id="no-rounding"),
        pytest.param(NumberMatch(), Number(3.0), 0.9, ("error", "1 right answers do not earn"), id="no-coordinates"),
    ],
)
def test_what_a_right_answer_lacks_is_put_down_to_rounding_where_there_are_coordinates(
    reward, solution, score, expected
):
    grades = Grades(torch.tensor([score]), torch.zeros(1, dtype=torch.int8))
    (finding,) = shortfall(reward, grades, [make_sample(solution)], ["text"], [AnswerFrame(30, 60, 2.0, 3.0)])
    level, what = expected
    assert finding.level == level
    assert what in finding.what
    answer = "'[0, 0, 100, 50]' in thousandths of the picture" if isinstance(solution, Box) else "'text'"
    assert finding.rows == (f"{make_sample(solution).id}: {answer} earns {score:.3f}",)


def test_what_can_not_be_read_is_shown_as_the_policy_writes_it():
    grades = Grades(torch.zeros(1), torch.ones(1, dtype=torch.int8))
    box = make_sample(Box((0, 0, 3, 3)))
    (finding,) = shortfall(BoxIoU(), grades, [box], ["<loc_0>"], [AnswerFrame(30, 60, 2.0, 3.0)])
    assert "'<loc_0>' can't be read" in finding.rows[0]


def test_the_answer_that_is_graded_is_the_truth_and_no_turn_that_a_file_lists():
    sample = gold_sample(make_sample(Number(3.0), target="<answer>4</answer>"))
    assert target_text(sample, None) == "<think>I look.</think><answer>3</answer>"

from __future__ import annotations

import pytest
from builders import PIXELS, make_completions, make_sample

from vrft_pl.answers import Box, Call, Choice, Expression, Instance, Instances, Label, Number, Transformation
from vrft_pl.rewards.panel import check_names
from vrft_pl.rewards.paper import REWARDS, paper_rewards

GOLD = {
    "visual_rft/detection": (
        Instances((Instance((10.0, 10.0, 30.0, 20.0), "cat"),), ("cat",), "a.jpg"),
        "[{'Position': [10, 10, 30, 20], 'Confidence': 1}]",
        {"DetectionIoU": 1, "DetectionConfidence": 1, "Format": 1},
    ),
    "visual_rft/classification": (Label("Sweet Pea"), "sweet_pea", {"LabelMatch": 1, "Format": 1}),
    "visual_rft/grounding": (Box((10.0, 10.0, 30.0, 20.0)), "[10, 10, 30, 20]", {"BoxIoU": 1, "Format": 1}),
    "reason_rft/counting": (Number(3), "3.0", {"NumberMatch": 1, "Format": 1}),
    "reason_rft/structure": (Choice("B"), "B", {"ChoiceMatch": 1, "MathMatch": 0, "Format": 1}),
    "reason_rft/spatial": (
        Transformation((Call("change_size", "1", "small"), Call("change_color", "2", "red"))),
        "change_color(2, red), change_size(1, small)",
        {"TransformationMatch": 1, "Format": 1},
    ),
}


def scores(name, solution, text):
    """What each reward of a paper says of one completion."""
    completions, samples = make_completions([text], PIXELS), [make_sample(solution)]
    return {reward.name: reward.score(completions, samples).item() for reward in paper_rewards(name)}


@pytest.mark.parametrize("name", list(REWARDS))
def test_the_right_answer_earns_every_reward_of_its_paper(name):
    solution, answer, expected = GOLD[name]
    assert scores(name, solution, f"<think>a</think>\n<answer>\n{answer}\n</answer>") == pytest.approx(expected)


@pytest.mark.parametrize("name", list(REWARDS))
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<think></think><answer></answer>", id="empty-tags"),
        pytest.param("", id="empty"),
        pytest.param("<think>{}</think>", id="in-the-thoughts"),
        pytest.param("<think>a</think><answer>?</answer>{}", id="after-the-answer"),
        pytest.param("<think>a</think><answer>{0}</answer><answer>{0}</answer>", id="twice"),
    ],
)
def test_what_is_no_answer_earns_nothing(name, text):
    solution, answer, _ = GOLD[name]
    assert not any(scores(name, solution, text.format(answer)).values())


def test_either_kind_of_truth_is_judged_by_one_reward():
    """Structure perception asks for a letter or for mathematics."""
    text = "<think>a</think><answer>12</answer>"
    assert scores("reason_rft/structure", Expression("12"), text) == {"ChoiceMatch": 0, "MathMatch": 1, "Format": 1}


@pytest.mark.parametrize("name", list(REWARDS))
def test_rewards_are_made_anew_with_weight_one(name):
    first, second = paper_rewards(name), paper_rewards(name)
    check_names(first)
    assert all(reward.weight_at(0) == 1 for reward in first)
    assert not {id(reward) for reward in first} & {id(reward) for reward in second}


def test_other_names_are_refused():
    with pytest.raises(ValueError, match=r"out of visual_rft/detection, .*, reason_rft/spatial, but got 'visual_rft'"):
        paper_rewards("visual_rft")

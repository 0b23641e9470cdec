"""The embedded policy does what its card says, in both styles that it was taught."""

import pytest
from checkpoints import loaded
from evaluation import evaluate

from vrft_pl.data import Counting, CountingScenes, Grounding, GroundingScenes, Mixture
from vrft_pl.modules import PolicyModule
from vrft_pl.policy.checkpoint import TINY
from vrft_pl.rewards import BoxAccuracy, Format, NumberMatch
from vrft_pl.rollout import SamplingParams

SCENES = 128
GREEDY = SamplingParams(48, temperature=0.0)


@pytest.mark.parametrize("style", ["think", "answer"])
def test_it_counts_and_grounds_in_both_styles(style):
    """Floors are three standard errors of so many scenes below the card's scores of either style."""
    tasks = {
        "counting": Counting(val={"base": CountingScenes("base", SCENES)}, style=style),
        "grounding": Grounding(val={"base": GroundingScenes("base", SCENES)}, style=style),
    }
    task = Mixture(tasks, eval_batch_size=SCENES)
    module = PolicyModule(loaded("tiny"), metrics=[Format(), NumberMatch(), BoxAccuracy()], eval_params=GREEDY)
    scores = evaluate(module, task)
    assert scores["val/counting_base/Format"] > 0.97
    assert scores["val/grounding_base/Format"] > 0.97
    assert scores["val/counting_base/NumberMatch"] > 0.83
    assert scores["val/grounding_base/BoxAccuracy"] > 0.55


def test_it_stays_small():
    assert sum(file.stat().st_size for file in TINY.iterdir()) < 5e6

import json

import pytest
import torch
from checkpoints import MIXED, loaded
from PIL import Image

from vrft_pl.answers import Number
from vrft_pl.data import Counting, ReasonJSON
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.rollout.seeds import AHEAD, Levels, prompt_seeds
from vrft_pl.types import Sample

CPU = torch.device("cpu")


def samples(*ids):
    return [Sample(own, (), "?", Number(1)) for own in ids]


def test_a_prompts_seed_is_its_own_whatever_stands_beside_it():
    a, b, c = prompt_seeds(samples("a", "b", "c"), 0, 7)
    assert len({a, b, c}) == 3
    assert prompt_seeds(samples("c", "a"), 0, 7) == (c, a)
    assert all(0 <= seed < 2**63 for seed in (a, b, c))


def test_a_prompts_seed_follows_whatever_else_decides():
    seeds = [prompt_seeds(samples("a"), *key)[0] for key in ((0, 0), (0, 1), (1, 0), ("0", 0), (0,))]
    assert len(set(seeds)) == 5


def test_a_sample_that_comes_again_gets_other_completions():
    first, second = prompt_seeds(samples("a", "a"))
    assert first != second
    assert prompt_seeds(samples("a")) == (first,)


def test_the_same_rows_in_another_folder_get_the_same_completions(tmp_path):
    seeds = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        rows = [{"id": i, "problem": "How many?", "answer": i, "image": "0.png"} for i in range(3)]
        (tmp_path / name / "rows.json").write_text(json.dumps(rows))
        Image.new("RGB", (32, 32)).save(tmp_path / name / "0.png")
        part = Counting(ReasonJSON(str(tmp_path / name / "rows.json"))).datasets("train")["train"]
        seeds.append(prompt_seeds([part[i] for i in range(3)], 0))
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3


def test_an_id_that_no_file_could_hold_has_a_seed():
    assert prompt_seeds(samples("\ud800")) != prompt_seeds(samples("\ud801"))


@pytest.mark.parametrize("steps", [1, AHEAD, 3 * AHEAD + 2])
def test_levels_of_a_row_are_its_own_whatever_rows_are_left(steps):
    together, alone = Levels((3, 4), 2, CPU), Levels((4,), 2, CPU)
    for step in range(steps):
        rows = torch.tensor([0, 1, 2, 3]) if step < 2 else torch.tensor([1, 3])
        drawn, own = together.at(step, rows), alone.at(step, torch.tensor([1]))
        assert drawn.shape == (len(rows), 1)
        assert drawn[-1] == own[0]
        assert bool(((drawn >= 0) & (drawn < 1)).all())
        assert len(drawn.unique()) == len(rows)


def test_prompts_get_the_same_completions_apart_and_together(checkpoint):
    policy = loaded(checkpoint)
    prompts, seeds, params = policy.encode(MIXED), prompt_seeds(MIXED, 5), SamplingParams(8)
    together = LocalSampler().generate(policy, prompts, 3, params, seeds)
    for i in range(len(MIXED)):
        alone = LocalSampler().generate(policy, prompts.select([i]), 3, params, seeds[i : i + 1])
        assert alone.texts == together.texts[3 * i : 3 * i + 3]

import math

import pytest

from vrft_pl.ablation import GridSearch, OptunaSearch, RandomSearch, Trial
from vrft_pl.ablation.search import at_edge

GRID = {"rate": [1e-4, 2e-4, 4e-4]}


def walked(method, space, score, trials):
    """Try what is proposed."""
    tried = []
    while len(tried) < trials and (values := method.propose(space, tried)) is not None:
        tried.append(Trial(values, (score(values), score(values))))
    return tried


def test_a_grid_is_walked_from_its_middle():
    tried = walked(GridSearch(), GRID, lambda v: -abs(math.log(v["rate"] / 2e-4)), 3)
    assert [trial.values["rate"] for trial in tried] == [2e-4, 4e-4, 1e-4]


def test_a_best_value_at_the_edge_widens_the_grid():
    tried = walked(GridSearch(), GRID, lambda v: v["rate"], 5)
    assert [trial.values["rate"] for trial in tried] == [2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3]
    assert at_edge(tried[-1].values, tried)


def test_what_is_below_the_grid_is_tried_as_well():
    tried = walked(GridSearch(), GRID, lambda v: -v["rate"], 4)
    assert [trial.values["rate"] for trial in tried] == [2e-4, 4e-4, 1e-4, 5e-5]


def test_between_known_neighbours_half_steps_are_tried():
    tried = walked(GridSearch(), GRID, lambda v: -abs(math.log(v["rate"] / 2.7e-4)), 5)
    assert [trial.values["rate"] for trial in tried] == [2e-4, 4e-4, 1e-4, 2.83e-4, 5.66e-4]
    assert max(tried, key=lambda trial: trial.mean).values["rate"] == 2.83e-4
    assert not at_edge({"rate": 2.83e-4}, tried)


def test_two_axes_are_walked_one_after_the_other():
    space = {"rate": [1e-4, 2e-4, 4e-4], "beta": [0.1, 0.2, 0.4]}
    best = {"rate": 4e-4, "beta": 0.1}
    tried = walked(GridSearch(), space, lambda v: -sum(abs(math.log(v[k] / best[k])) for k in best), 7)
    assert max(tried, key=lambda trial: trial.mean).values == best


def test_values_that_are_no_numbers_are_all_tried():
    space = {"decay": ["cosine", "linear", "constant"]}
    tried = walked(GridSearch(), space, lambda v: 0.0, 9)
    assert sorted(trial.values["decay"] for trial in tried) == ["constant", "cosine", "linear"]


def test_random_values_are_within_the_axis_and_the_same_for_a_seed():
    space = {"rate": [1e-5, 1e-3], "decay": ["cosine", "linear"]}
    first, second = (walked(RandomSearch(seed=3), space, lambda v: 0.0, 20) for _ in range(2))
    assert [trial.values for trial in first] == [trial.values for trial in second]
    rates = [trial.values["rate"] for trial in first]
    assert min(rates) >= 1e-5
    assert max(rates) <= 1e-3
    assert sum(rate < 1e-4 for rate in rates) in range(5, 16)  # even on a logarithmic scale
    assert {trial.values["decay"] for trial in first} == {"cosine", "linear"}


def test_optuna_finds_what_is_good():
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    tried = walked(OptunaSearch(seed=0), {"rate": [1e-5, 1e-3]}, lambda v: -abs(math.log(v["rate"] / 2e-4)), 15)
    assert 5e-5 < max(tried, key=lambda trial: trial.mean).values["rate"] < 8e-4
    again = walked(OptunaSearch(seed=0), {"rate": [1e-5, 1e-3]}, lambda v: -abs(math.log(v["rate"] / 2e-4)), 6)
    assert [trial.values for trial in again] == [trial.values for trial in tried[:6]]


def test_optuna_that_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ValueError, match=r"pip install vrft_pl\[optuna\]"):
        OptunaSearch()

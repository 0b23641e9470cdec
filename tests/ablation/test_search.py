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
    assert at_edge(tried[-1].values, tried, GRID)


def test_what_is_below_the_grid_is_tried_as_well():
    tried = walked(GridSearch(), GRID, lambda v: -v["rate"], 4)
    assert [trial.values["rate"] for trial in tried] == [2e-4, 4e-4, 1e-4, 5e-5]


def test_between_known_neighbours_half_steps_are_tried():
    tried = walked(GridSearch(), GRID, lambda v: -abs(math.log(v["rate"] / 2.7e-4)), 5)
    assert [trial.values["rate"] for trial in tried] == [2e-4, 4e-4, 1e-4, 2.83e-4, 5.66e-4]
    assert max(tried, key=lambda trial: trial.mean).values["rate"] == 2.83e-4
    assert not at_edge({"rate": 2.83e-4}, tried, GRID)


def test_two_axes_are_walked_one_after_the_other():
    space = {"rate": [1e-4, 2e-4, 4e-4], "beta": [0.1, 0.2, 0.4]}
    best = {"rate": 4e-4, "beta": 0.1}
    tried = walked(GridSearch(), space, lambda v: -sum(abs(math.log(v[k] / best[k])) for k in best), 7)
    assert max(tried, key=lambda trial: trial.mean).values == best


def test_values_that_are_no_numbers_are_all_tried():
    space = {"decay": ["cosine", "linear", "constant"]}
    tried = walked(GridSearch(), space, lambda v: 0.0, 9)
    assert sorted(trial.values["decay"] for trial in tried) == ["constant", "cosine", "linear"]


def test_whole_numbers_stay_whole():
    space = {"group_size": [2, 4, 8]}
    walk = walked(GridSearch(), space, lambda v: -abs(v["group_size"] - 3), 5)
    drawn = walked(RandomSearch(), space, lambda v: 0.0, 9)
    assert [trial.values["group_size"] for trial in walk] == [4, 8, 2, 6, 3]
    assert {type(trial.values["group_size"]) for trial in [*walk, *drawn]} == {int}


def test_whole_numbers_do_not_end_at_nothing():
    tried = walked(GridSearch(), {"window": [1, 2]}, lambda v: -v["window"], 6)
    assert min(trial.values["window"] for trial in tried) == 1


def test_optuna_draws_whole_numbers():
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    tried = walked(OptunaSearch(), {"group_size": [2, 16]}, lambda v: v["group_size"], 5)
    assert {type(trial.values["group_size"]) for trial in tried} == {int}


def test_one_trial_of_a_wider_axis_is_at_its_edge():
    one = [Trial({"rate": 2e-4}, (0.5,))]
    assert at_edge(one[0].values, one, GRID)
    assert not at_edge({"rate": 2e-4}, one, {"rate": [2e-4]})
    assert not at_edge({"decay": "cosine"}, [Trial({"decay": "cosine"}, (0.5,))], {"decay": ["cosine", "linear"]})


def test_sections_and_lists_have_no_edge():
    space = {"betas": [[0.9, 0.95], [0.9, 0.99]], "loss": [{"class_path": "A"}, {"class_path": "B"}]}
    for method in (GridSearch(), RandomSearch()):
        tried = walked(method, space, lambda v: 0.0, 3)
        assert len(tried) == 3
        assert not at_edge(tried[0].values, tried, space)


def test_random_values_are_within_the_axis_and_the_same_for_a_seed():
    space = {"rate": [1e-5, 1e-3], "decay": ["cosine", "linear"]}
    first, second = (walked(RandomSearch(seed=3), space, lambda v: 0.0, 20) for _ in range(2))
    assert [trial.values for trial in first] == [trial.values for trial in second]
    rates = [trial.values["rate"] for trial in first]
    assert min(rates) >= 1e-5
    assert max(rates) <= 1e-3
    assert sum(rate < 1e-4 for rate in rates) in range(5, 16)  # even on a logarithmic scale
    assert {trial.values["decay"] for trial in first} == {"cosine", "linear"}


def test_random_values_are_tried_once():
    space = {"group_size": [2, 4], "decay": ["cosine", "linear"]}
    for seed in range(5):
        tried = walked(RandomSearch(seed), space, lambda v: 0.0, 10)
        assert len(tried) == 6
        assert len({tuple(trial.values.items()) for trial in tried}) == 6


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

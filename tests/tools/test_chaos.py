import random
from collections import Counter

import pytest


@pytest.fixture
def chaos(tool):
    return tool("chaos")


def test_the_matrix_holds_every_combination_once(chaos):
    names = [case.name for case in chaos.matrix()]
    assert len(names) == len(set(names)) == 2 * 2 * 2 * 2 * 2 + 2 * 2 * 2 * 2


def test_a_moment_lies_within_a_call_that_comes(chaos):
    timings = {"update": chaos.Timing(calls=4, seconds=2.0)}
    kills = [chaos.drawn(timings, random.Random(seed), "update") for seed in range(200)]
    assert {kill.call for kill in kills} == {1, 2, 3, 4}
    assert all(0 <= kill.delay < 0.5 for kill in kills)


@pytest.mark.parametrize(
    ("got", "said"),
    [
        pytest.param(["a", "b"], "", id="same"),
        pytest.param(["b", "a"], "in another order", id="order"),
        pytest.param(["a"], "1 missing, such as b", id="lost"),
        pytest.param(["a", "b", "b"], "1 too many, such as b", id="doubled"),
    ],
)
def test_a_difference_is_described(chaos, got, said):
    assert chaos.difference(got, ["a", "b"]) == said


def test_a_run_that_ends_in_another_way_fails(chaos, tmp_path, monkeypatch, capsys):
    """The exit code is what a nightly job looks at."""
    found = [chaos.Outcome(Counter(update=1), []), chaos.Outcome(Counter(update=1), ["weights: 1 missing"])]
    monkeypatch.setattr(chaos, "attack", lambda *args: found.pop())
    args = ["--cases", "sft, accumulation 4, workers 2, 2 processes", "--output", str(tmp_path / "table.md")]
    assert chaos.main(["--kills", "2", *args]) == 1
    assert "| 1 | weights: 1 missing |" in (tmp_path / "table.md").read_text()
    assert "weights: 1 missing" in capsys.readouterr().out


@pytest.mark.nightly
def test_killed_runs_end_as_undisturbed_ones(chaos):
    assert chaos.main(["--kills", "2", "--cases", "sft, accumulation 1, workers 0, 1 process, other"]) == 0

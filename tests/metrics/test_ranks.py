from __future__ import annotations

import json
from pathlib import Path

import pytest
from forking import forked
from metrics.ranks import WORLDS, metrics


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    done = forked(Path(__file__).with_name("ranks.py"), folder, ranks=max(WORLDS))
    assert done.returncode == 0, done.stderr
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_every_rank_of_every_world_reports(reports):
    assert len(reports) == sum(WORLDS)


@pytest.mark.parametrize("name", [metric.name for metric in metrics()])
@pytest.mark.parametrize("case", ["1", "2", "alone", "nothing"])
def test_numbers_are_the_same_on_any_number_of_processes(reports, name, case):
    """Uneven batches, padded copies, several completions a sample, and ranks without a row change nothing."""
    alone = reports["1 0"][f"{name} {case}"]
    assert bool(alone) == (case != "nothing")
    for report in reports.values():
        assert report[f"{name} {case}"] == alone


def test_further_completions_change_the_numbers(reports):
    for name in (metric.name for metric in metrics()):
        assert reports["1 0"][f"{name} 1"] != reports["1 0"][f"{name} 2"]
        assert reports["1 0"][f"{name} 1"] == reports["1 0"][f"{name} alone"]

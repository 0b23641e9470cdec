import json

import pytest

from vrft_pl.runs.ablation import AblationFolder, AblationResults, Arm, Cell, Contrast, Cost, Curve, MetricInfo, Trial
from vrft_pl.types import InputError

KEY = "target/ood_snow/NumberMatch"
RESULTS = AblationResults(
    name="counting",
    arms=(Arm("base"), Arm("rft", "GRPO from the base")),
    metrics=(MetricInfo(KEY, "target", "ood_snow", "NumberMatch", "in_domain", 0.2),),
    cells=(
        Cell("base", None, 0, "cells/base", tests={"target": "cells/base/target"}, state="done", scores={KEY: 0.4}),
        Cell("rft", 64, 1, "cells/rft-64-1", ("cells/rft-64-1/0",), cost=Cost(512, 32), values={"lr": 1e-4}),
    ),
    seeds=(0, 1),
    rows=(64, "all"),
    config={"arms": {"rft": {}}},
    search=(Trial("rft", 0, {"lr": 1e-4}, (0.5, 0.6), 0.55, chosen=True, at_edge=True),),
    contrasts=(Contrast("gain", "rft", "base", KEY, 64, primary=True, difference=0.1, bootstrap=(0.0, 0.2)),),
    curves=(Curve("rft", KEY, (16, 64), (0.5, 0.6), area=0.55),),
    verdict=("Two seeds are too few for a verdict.",),
)


@pytest.fixture
def folder(tmp_path):
    return AblationFolder(tmp_path / "ablation")


def test_results_are_what_they_were_when_they_are_read_again(folder):
    assert not folder.started
    folder.write(RESULTS)
    assert folder.started
    assert folder.results() == RESULTS


def test_a_number_of_rows_is_whole(folder):
    folder.write(AblationResults("x", (), (), (Cell("a", 64.0, 0, "a"),), rows=(64.0, 0.5)))
    results = folder.results()
    assert [str(rows) for rows in (results.cells[0].rows, *results.rows)] == ["64", "64", "0.5"]


def test_a_number_that_json_cannot_hold_becomes_null(folder):
    folder.write(AblationResults("x", (), (), (Cell("a", 1, 0, "a", scores={KEY: float("nan")}),)))
    assert json.loads((folder.path / "results.json").read_text())["cells"][0]["scores"] == {KEY: None}
    assert folder.results().cells[0].scores == {KEY: None}


def test_a_number_that_another_program_wrote_and_json_does_not_know_is_none(folder):
    folder.write(RESULTS)
    row = json.loads((folder.path / "results.json").read_text())
    row["cells"][1]["rows"], row["curves"][0]["mean"] = float("nan"), [float("inf"), 0.6]
    (folder.path / "results.json").write_text(json.dumps(row))
    results = folder.results()
    assert results.cells[1].rows is None
    assert results.curves[0].mean == (None, 0.6)
    row["curves"][0]["rows"] = [float("nan"), 64]
    (folder.path / "results.json").write_text(json.dumps(row))
    with pytest.raises(InputError, match=r"results\.json, but curves\.0\.rows\.0: Input should be a valid number"):
        folder.results()


def test_an_error_that_quotes_half_an_emoji_is_kept(folder):
    folder.write(AblationResults("x", (), (), (Cell("a", 1, 0, "a", state="failed", error="no \ud83d"),)))
    assert folder.results().cells[0].error == "no ?"


def test_names_that_a_later_version_adds_are_no_obstacle(folder):
    folder.write(RESULTS)
    row = json.loads((folder.path / "results.json").read_text())
    row["cells"][0]["weather"] = row["weather"] = "fine"
    (folder.path / "results.json").write_text(json.dumps(row))
    assert folder.results() == RESULTS


def test_paths_of_a_cell_are_from_the_folder_of_the_ablation(folder):
    assert folder.run(RESULTS.cells[1].stages[0]).path == folder.path / "cells/rft-64-1/0"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(None, "can't be read", id="no-file"),
        pytest.param("{", "the whole: Invalid JSON", id="no-json"),
        pytest.param("[" * 100_000, "the whole: Invalid JSON", id="nested"),
        pytest.param('{"name": "x", "arms": [], "cells": []}', "metrics: Field required", id="part-missing"),
        pytest.param('{"name": "x", "arms": [7], "metrics": [], "cells": []}', "arms.0: Input should be", id="no-arm"),
    ],
)
def test_what_is_no_result_is_named_with_its_place(folder, text, reason):
    folder.path.mkdir()
    if text is not None:
        (folder.path / "results.json").write_text(text)
    with pytest.raises(InputError, match=rf"Expected the results of an ablation in .*results\.json, but .*{reason}"):
        folder.results()

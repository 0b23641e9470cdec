"""Ridge regression on features: its closed forms, and a run on the embedded policy."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("fit_ridge")


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 30))
    return features, features[:, :2] * 3 + 1 + rng.normal(size=(12, 2)), rng.normal(size=(5, 30))


def test_predictions_are_those_of_the_textbook(tool, rows):
    features, targets, held = rows
    ridge = tool.Ridge(features, targets)
    centred = features - features.mean(0)
    weights = np.linalg.solve(centred.T @ centred + ridge.penalty * np.eye(30), centred.T @ (targets - targets.mean(0)))
    np.testing.assert_allclose(ridge(held), (held - features.mean(0)) @ weights + targets.mean(0), atol=1e-8)


def test_the_penalty_is_the_best_when_each_row_is_left_out(tool, rows, monkeypatch):
    features, targets, _ = rows

    def left_out(penalty):
        errors = []
        for i in range(len(features)):
            kept = np.arange(len(features)) != i
            x, y = features[kept], targets[kept]
            centred = x - x.mean(0)
            weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(30), centred.T @ (y - y.mean(0)))
            errors.append((((features[i] - x.mean(0)) @ weights + y.mean(0) - targets[i]) ** 2).mean())
        return np.mean(errors)

    scale = tool.Ridge(features, targets).values.mean()
    chosen = tool.Ridge(features, targets).penalty
    assert left_out(chosen) == pytest.approx(min(left_out(p) for p in tool.PENALTIES * scale), rel=0.02)


def test_labels_and_boxes_are_judged_beside_a_constant(tool):
    features, held = np.eye(2)[[0, 0, 1, 1, 1]], np.eye(2)
    scores = tool.judge_labels(features, ["cat", "cat", "dog", "dog", "dog"], held, ["cat", "dog"])
    assert scores == {"ridge accuracy": 1.0, "constant accuracy": 0.5}
    corners = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
    scores = tool.judge_boxes(np.eye(2)[[0, 1, 0, 1]], corners[[0, 1, 0, 1]], held, corners)
    assert scores["ridge IoU"] == pytest.approx(1.0, abs=1e-3)
    assert scores["ridge accuracy at 0.5"] == 1.0
    assert scores["constant IoU"] == pytest.approx(0.0625 / 0.4375)
    assert scores["constant accuracy at 0.5"] == 0.0


def test_a_config_gives_policy_and_rows(tool, no_argv, capsys):
    val = "{id: {class_path: vrft_pl.data.GroundingScenes, init_args: {size: 12}}}"
    config = str(TOOLS.parent / "configs/grounding/sft.yaml")
    tool.main(["--config", config, "--data.train.init_args.size", "24", "--data.init_args.val", val])
    said = capsys.readouterr().out
    assert "val/id: ridge IoU" in said
    assert "val/id: constant accuracy at 0.5" in said
    assert "24 rows to train on, 12 held out" in said


def test_answers_that_are_neither_labels_nor_boxes_end_with_one_line(tool, no_argv, capsys):
    val = "{id: {class_path: vrft_pl.data.CountingScenes, init_args: {size: 2}}}"
    config = str(TOOLS.parent / "configs/counting/sft.yaml")
    with pytest.raises(SystemExit):
        tool.main(["--config", config, "--data.train.init_args.size", "2", "--data.init_args.val", val])
    assert "Expected answers that are labels or boxes" in capsys.readouterr().err

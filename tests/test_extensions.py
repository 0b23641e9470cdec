"""Every row of the table of extensions (docs/extending.md), from one file outside the package."""

import json
import re
import sys
from pathlib import Path

import pytest

from vrft_pl.__main__ import main
from vrft_pl.commands.ablate import parsed
from vrft_pl.modules import GRPOModule

ROOT = Path(__file__).parents[1]
SHORT = ["--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false", "--run.wandb", "off"]
SHORT += [
    "--data.init_args.batch_size",
    "2",
    "--data.init_args.eval_batch_size",
    "4",
    "--trainer.limit_val_batches",
    "1",
]
HERE = {
    "metric": ("metrics", [{"class_path": "metric.AnswerLength"}]),
    "loss": ("loss", {"class_path": "loss.Reinforce"}),
    "term beside the loss": ("terms", [{"class_path": "term.Steady"}]),
    "advantage": ("advantage", {"class_path": "advantage.OverMean"}),
    "engine that writes": ("sampler", {"class_path": "sampler.Typist"}),
}
ELSEWHERE = {
    "reward": "tests/docs/test_extending.py::test_own_reward",
    "kind of answer, its family": "tests/docs/test_extending.py::test_own_kind_of_answer_in_reinforcement",
    "family": "tests/docs/test_extending.py::test_own_family",
}
"""Rows that are tried with the config of the page as well."""


@pytest.fixture(autouse=True)
def extensions(tmp_path, monkeypatch, no_argv):
    """Only the folder of extensions is added to where Python looks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "docs/examples"))
    yield
    for name in {path.stem for path in (ROOT / "docs/examples").glob("*.py")}:
        sys.modules.pop(name, None)


def fit(*args):
    main(["fit", "--config", str(ROOT / "configs/quickstart.yaml"), *SHORT, "--run.folder", "run", *args])
    return json.loads(Path("run/summary.json").read_text())["after"], metrics()


def metrics():
    names, *rows = Path("run/metrics.csv").read_text().splitlines()
    last = next(row for row in reversed(rows) if row.split(",")[names.split(",").index("train/loss")])
    return dict(zip(names.split(","), last.split(","), strict=True))


def fit_with(idea):
    key, value = HERE[idea]
    return fit(f"--model.init_args.{key}", json.dumps(value))


def test_the_table_names_every_idea_that_is_tried():
    table = (ROOT / "docs/extending.md").read_text().partition("\n## ")[0]
    ideas = re.findall(r"^\| ([a-z][^|]*) \|", table, re.MULTILINE)
    tried = {*HERE, *ELSEWHERE, "source of rows", "callback around rollouts", "arm of an ablation", "subcommand"}
    assert set(ideas) - {"idea"} == tried
    for test in ELSEWHERE.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text()


def test_a_metric_is_reported(capsys):
    after, _ = fit_with("metric")
    assert set(after) == {f"val/{part}/AnswerLength" for part in ("ood_snow", "id", "ood_night")}
    assert min(after.values()) > 0


def test_a_loss_is_trained_on(capsys):
    _, logged = fit_with("loss")
    assert "train/weighted" in logged
    assert "train/clip_fraction" not in logged
    assert abs(float(logged["train/loss"])) > 1e-3


def test_a_term_is_trained_on_beside_the_loss(capsys):
    _, logged = fit_with("term beside the loss")
    assert "train/clip_fraction" in logged
    assert float(logged["train/unsteady"]) > 0


def test_an_advantage_weighs(capsys):
    fit_with("advantage")
    records = [json.loads(line) for line in Path("run/completions.jsonl").read_text().splitlines()]
    rewards = [r["scores"]["NumberMatch"] + 0.5 * r["scores"]["Format"] for r in records]
    mean = sum(rewards) / len(rewards)
    assert [r["advantage"] for r in records] == pytest.approx([reward / mean - 1 for reward in rewards], abs=1e-5)


def test_a_source_is_trained_and_judged_on(capsys):
    rows = {"class_path": "source.DotRows"}
    data = ["--data.init_args.train", json.dumps(rows), "--data.init_args.val", json.dumps({"id": rows})]
    after, _ = fit(*data)
    assert "val/id/NumberMatch" in after
    assert json.loads(Path("run/completions.jsonl").read_text().splitlines()[0])["id"].startswith("dots ")


def test_an_engine_writes_in_training_and_evaluation(capsys):
    after, logged = fit_with("engine that writes")
    records = [json.loads(line)["completion"] for line in Path("run/completions.jsonl").read_text().splitlines()]
    assert records == [str(i) for i in range(1, 9)]
    assert after["val/id/Format"] == 0  # a bare number where thoughts are asked for
    assert float(logged["train/completion_tokens"]) == 2


def test_a_callback_decides_what_is_trained_on(capsys, monkeypatch):
    trained = []
    step = GRPOModule.training_step
    monkeypatch.setattr(
        GRPOModule, "training_step", lambda m, batch, i: trained.append(len(batch)) or step(m, batch, i)
    )
    fit(
        "--trainer.callbacks+=callback.MostDisputed",
        "--model.init_args.loss.class_path",
        "vrft_pl.algorithms.GRPOLoss",
        "--model.init_args.loss.init_args.kl_coefficient",
        "0.1",
    )  # so that no group is left out for being dead
    assert trained == [1]


def test_an_arm_is_compared(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    options = ["--arms", "{twice: arm.TWICE}", "--contrasts", "[]", "--seeds", "[4]", "--dry_run", "true"]
    main(["ablate", "--config", "configs/ablations/quick.yaml", *options])
    assert capsys.readouterr().out == "0: twice, 64 rows, seed 4: waiting\n"
    arm = parsed(["--config", "configs/ablations/quick.yaml", *options])[0].all_arms["twice"]
    assert [(stage.recipe, stage.style, stage.share) for stage in arm.stages] == [
        ("sft", "answer", 0.3),
        ("rft", "think", 0.7),
    ]


def test_an_installed_command_is_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine-1.0.dist-info").mkdir()
    (tmp_path / "mine-1.0.dist-info/METADATA").write_text("Name: mine\nVersion: 1.0\n")
    (tmp_path / "mine-1.0.dist-info/entry_points.txt").write_text("[vrft_pl.commands]\ngreet = command:main\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    main(["greet", "pens"])
    assert capsys.readouterr().out == "hello pens\n"

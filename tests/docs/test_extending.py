"""The files of docs/examples with the configs and rows that docs/extending.md names beside them."""

import json
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from docs.pages import ROOT, block, blocks
from PIL import Image

from vrft_pl import prompts
from vrft_pl.__main__ import main

PAGE = "docs/extending.md"
EXAMPLES = ROOT / "docs/examples"
SHORT = ["--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false", "--run.wandb", "off"]
QUICKSTART = ["--config", str(ROOT / "configs/quickstart.yaml"), "--config", "mine.yaml"]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch, no_argv, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield tmp_path
    for path in EXAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)


def fit(config, *args):
    Path("mine.yaml").write_text(config)
    main(["fit", *QUICKSTART, *SHORT, "--data.init_args.batch_size", "1", *args, "--run.folder", "run"])
    return json.loads(Path("run/summary.json").read_text())


def test_the_page_shows_every_file():
    included = {f'--8<-- "docs/examples/{path.name}"\n' for path in EXAMPLES.glob("*.py")}
    assert set(blocks(ROOT / PAGE, "python")) == included


def test_own_reward():
    summary = fit(block(PAGE, "yaml", "reward.Closeness"), "--trainer.limit_val_batches", "1")
    assert 0 < summary["before"]["val/id/Closeness"] <= 1


def test_other_columns_reach_reward_and_question(monkeypatch):
    row = json.loads(block(PAGE, "json", "tolerance"))
    Image.new("RGB", (32, 32)).save(row["image"])
    Path("cells.jsonl").write_text("".join(json.dumps({**row, "tolerance": n}) + "\n" for n in (0, 1000)))
    asked = []
    write = prompts.question
    monkeypatch.setattr(prompts, "question", lambda *args: asked.append(write(*args)) or asked[-1])
    typed = ["--model.init_args.sampler", '{"class_path": "sampler.Typist"}', "--data.init_args.style", "answer"]
    summary = fit(block(PAGE, "yaml", "columns.Within"), *typed, "--run.evaluate_after", "false")
    assert summary["before"]["val/id/Within"] == 0.5  # the answer is 1, and one row allows for 1000
    assert "reward_errors" not in str(summary)
    ours = {text for text in asked if "cells" in text}
    assert ours == {"How many cells are there? (some overlap) Answer with a number only."}


def test_own_family():
    row = json.loads(block(PAGE, "json", "Is there a pen?"))
    Image.new("RGB", (32, 32)).save(row["image"])
    Path("presence.jsonl").write_text("".join(json.dumps({**row, "answer": there}) + "\n" for there in (False, True)))
    summary = fit(block(PAGE, "yaml", "family.Presence"))
    assert {"val/id/LabelMatch", "val/id/Format"} < set(summary["after"])
    answers = {json.loads(line)["answer"] for line in Path("run/predictions.jsonl").read_text().splitlines()}
    assert len(answers) == 2


@pytest.fixture
def pairs():
    """The rows of the example of a kind of answer, each way round."""
    for name, colour in (("night", 20), ("day", 230)):
        Image.new("RGB", (32, 32), (colour,) * 3).save(f"{name}.png")
    row = json.loads(block(PAGE, "json", "night.png"))
    turned = {**row, "image": row["image"][::-1], "answer": "first"}
    Path("pairs.jsonl").write_text("".join(json.dumps({**r, "cot": "One is dark."}) + "\n" for r in (row, turned)))


def test_own_kind_of_answer_in_reinforcement(pairs):
    summary = fit(block(PAGE, "yaml", "brighter.PlaceMatch"))
    assert {"val/id/PlaceMatch", "val/id/Format"} < set(summary["after"])
    (record, *_) = map(json.loads, Path("run/completions.jsonl").read_text().splitlines())
    assert record["answer"] in ("first", "second")
    assert set(record["scores"]) == {"PlaceMatch", "Format"}


def test_own_kind_of_answer_in_supervised_training_and_evaluation(pairs):
    Path("mine.yaml").write_text(block(PAGE, "yaml", "brighter.PlaceMatch").replace("    rewards:", "    metrics:"))
    stage = ["--config", str(ROOT / "configs/counting/sft.yaml"), "--config", "mine.yaml"]
    main(["fit", *stage, *SHORT, "--run.folder", "run"])
    trained = ["--model.init_args.policy.init_args.checkpoint", "run/export", "--run.folder", "tested"]
    main(["test", *stage, *SHORT[2:4], *trained])
    rows = [json.loads(line) for line in Path("tested/predictions.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == ["second", "first"]
    assert [set(row["scores"]) for row in rows] == [{"PlaceMatch", "Format"}] * 2
    assert "val/id/PlaceMatch" in json.loads(Path("run/summary.json").read_text())["after"]


def test_own_kind_of_answer_is_checked(pairs):
    Path("mine.yaml").write_text(block(PAGE, "yaml", "brighter.PlaceMatch"))
    with suppress(SystemExit):  # a policy that was never taught to compare may give no signal
        main(
            ["check", *QUICKSTART, "--run.folder", "run", "--check.prompts", "2", "--check.skip", "[speed, memory]"],
        )
    found = Path("run/check.json").read_text()
    assert "All 4 right answers earn everything: PlaceMatch, Format." in found
    assert Path("run/check-1.png").exists()

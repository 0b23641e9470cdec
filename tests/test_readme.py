import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from vrft_pl.__main__ import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORT = ["--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false", "--run.wandb", "off"]


def block(language, mark):
    """The first fenced block of a language that holds a mark."""
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if mark in text)


@pytest.fixture
def workplace(tmp_path, monkeypatch, no_argv):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def fit(workplace, config, *args):
    (workplace / "mine.yaml").write_text(config)
    quickstart = ["--config", str(ROOT / "configs/quickstart.yaml"), "--config", "mine.yaml"]
    main(["fit", *quickstart, *SHORT, "--data.init_args.batch_size", "1", *args, "--run.folder", "run"])
    return json.loads(Path("run/summary.json").read_text())


def test_own_data(workplace, capsys):
    Path("pens").mkdir()
    Image.new("RGB", (80, 60), "white").save("pens/pens.png")
    for name in ("train", "val"):
        Path(f"pens/{name}.json").write_text(block("json", "pens.png"))
    summary = fit(workplace, block("yaml", "pens/train.json"))
    assert set(summary["after"]) == {"val/id/NumberMatch", "val/id/Format", "val/id/parse_failures/NumberMatch"}


def test_own_reward(workplace, capsys):
    Path("my_rewards.py").write_text(block("python", "# my_rewards.py"))
    summary = fit(workplace, block("yaml", "my_rewards.Closeness"), "--trainer.limit_val_batches", "1")
    assert 0 < summary["before"]["val/id/Closeness"] <= 1


@pytest.fixture
def pairs(workplace):
    """The files of the example of a kind of answer of one's own."""
    for name, colour in (("night", 20), ("day", 230)):
        Image.new("RGB", (32, 32), (colour,) * 3).save(f"{name}.png")
    row = json.loads(block("json", "night.png"))
    turned = {**row, "image": row["image"][::-1], "answer": "first"}
    Path("pairs.jsonl").write_text("".join(json.dumps({**r, "cot": "One is dark."}) + "\n" for r in (row, turned)))
    Path("brighter.py").write_text(block("python", "# brighter.py"))
    return workplace


def test_own_kind_of_answer_in_reinforcement(pairs, capsys):
    summary = fit(pairs, block("yaml", "brighter.PlaceMatch"))
    assert {"val/id/PlaceMatch", "val/id/Format"} < set(summary["after"])
    (record, *_) = map(json.loads, Path("run/completions.jsonl").read_text().splitlines())
    assert record["answer"] in ("first", "second")
    assert set(record["scores"]) == {"PlaceMatch", "Format"}


def test_own_kind_of_answer_in_supervised_training_and_evaluation(pairs, capsys):
    example = block("yaml", "brighter.PlaceMatch").replace("    rewards:", "    metrics:")
    Path("mine.yaml").write_text(example)
    stage = ["--config", str(ROOT / "configs/counting/sft.yaml"), "--config", "mine.yaml"]
    main(["fit", *stage, *SHORT, "--run.folder", "run"])
    trained = ["--model.init_args.policy.init_args.checkpoint", "run/export", "--run.folder", "tested"]
    main(["test", *stage, *SHORT[2:4], *trained])
    rows = [json.loads(line) for line in Path("tested/predictions.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == ["second", "first"]
    assert [set(row["scores"]) for row in rows] == [{"PlaceMatch", "Format"}] * 2
    assert "val/id/PlaceMatch" in json.loads(Path("run/summary.json").read_text())["after"]


def test_own_kind_of_answer_is_checked(pairs, capsys):
    Path("mine.yaml").write_text(block("yaml", "brighter.PlaceMatch"))
    command = [
        "check",
        "--config",
        str(ROOT / "configs/quickstart.yaml"),
        "--config",
        "mine.yaml",
        "--run.folder",
        "run",
    ]
    with suppress(SystemExit):  # a policy that was never taught to compare may give no signal
        main([*command, "--check.prompts", "2", "--check.skip", "[speed, memory]"])
    found = Path("run/check.json").read_text()
    assert "All 4 right answers earn everything: PlaceMatch, Format." in found
    assert Path("run/check-1.png").exists()


@pytest.mark.parametrize("mark", ["negatives: all", "Qwen/Qwen2.5-VL-3B-Instruct"])
def test_other_examples_agree_with_the_signatures(workplace, capsys, mark):
    Path("mine.yaml").write_text(block("yaml", mark))
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(ROOT / "configs/grounding/grpo.yaml"), "--config", "mine.yaml", "--print_config"])
    assert stop.value.code in (0, None)
    assert mark in capsys.readouterr().out


def test_every_file_named_in_the_commands_exists():
    names = set(re.findall(r"(?:configs|tools|experiments|vrft_pl)/[\w./]+\w\.\w+", README))
    assert len(names) > 6
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []

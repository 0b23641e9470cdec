"""The walk of docs/ten_minutes.md on six made-up photographs, command by command as the page has them."""

import json
import re
from itertools import takewhile

import pytest
import yaml
from docs.commands import commands
from docs.pages import ROOT, block
from PIL import Image

from vrft_pl.__main__ import main

PAGE = ROOT / "docs/ten_minutes.md"
SHORT = ["--trainer.enable_progress_bar", "false", "--run.wandb", "off", "--data.init_args.batch_size", "2"]
TRAINED = [*SHORT, "--trainer.max_steps", "1", "--run.evaluate_before", "false", "--trainer.callbacks", "null"]
TINY = {
    "check": [*SHORT, "--check.prompts", "2", "--check.skip", "[speed, memory, signal]"],
    "fit": [*TRAINED, "--val_subset.times", "0"],
    "test": SHORT,
    "predict": ["--model.eval_params.max_tokens", "8", "--trainer.enable_progress_bar", "false"],
}


def walk():
    """Commands of the page up to those that need a GPU."""
    return list(takewhile(lambda words: "configs/model/qwen2_5_vl_3b.yaml" not in words, commands(PAGE)))


@pytest.fixture
def workplace(tmp_path, monkeypatch, no_argv):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cards/images").mkdir(parents=True)
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(6)]
    for image in images:
        Image.new("RGB", (64, 48), (40 * image["id"], 80, 120)).save(tmp_path / "cards/images" / image["file_name"])
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [5 + i, 4, 20, 30]} for i in range(6)]
    coco = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "king"}]}
    for split in ("train", "test"):
        (tmp_path / f"cards/{split}.json").write_text(json.dumps(coco))
    return tmp_path


def test_the_commands_of_the_page_lead_to_a_report(workplace, capsys):
    config = (ROOT / "docs/photographs.yaml").read_text().replace("IMAGES", "cards/images")
    (workplace / "photographs.yaml").write_text(config)
    for _, command, *args in walk():
        args = [str(ROOT / word) if word.startswith("configs/") else word for word in args]
        main([command, *args, *TINY.get(command, [])])
    scores = json.loads((workplace / "runs/test/scores.json").read_text())
    assert {"test/test/BoxIoU", "test/test/Format"} <= set(scores)
    assert "Locate the king." in (workplace / "runs/report.html").read_text()
    asked, trained = (yaml.safe_load((workplace / f"runs/{run}/config.yaml").read_text()) for run in ("king", "grpo"))
    assert asked["data"]["class_path"] == trained["data"]["class_path"]
    assert asked["data"]["init_args"]["style"] == trained["data"]["init_args"]["style"]
    assert len(list((workplace / "runs/king/drawings").iterdir())) == 6


def test_page_and_script_have_the_same_commands_in_the_same_order():
    script = (ROOT / "docs/ten_minutes.sh").read_text()
    of_script = re.findall(r"^vrft_pl (\w+)", script, re.MULTILINE)
    assert of_script == [words[1] for words in walk()]
    assert len(of_script) == 8
    folders = {"runs/check", "runs/sft", "runs/grpo", "runs/test", "runs/king"}
    assert set(re.findall(r"--run\.folder (\S+)", script)) == folders
    assert {words[words.index("--run.folder") + 1] for words in walk() if "--run.folder" in words} == folders


def test_the_row_that_the_page_shows_is_what_convert_writes(workplace, capsys):
    main(["convert", "cards/train.json", "--image_root", "cards/images", "--output", "rows.jsonl"])
    made = json.loads((workplace / "rows.jsonl").read_text().splitlines()[0])
    assert set(json.loads(block("docs/ten_minutes.md", "json", "Locate the king."))) == set(made)

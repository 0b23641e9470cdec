import json
import re
from pathlib import Path

import pytest
from PIL import Image

from vrft_pl.__main__ import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "docs/overview.md", "docs/sources.md")]
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
"""What a newcomer reads first, and the two pages that hold its longer examples."""
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


def test_the_table_of_strategies_is_part_of_the_measured_one():
    def rows(path):
        lines = [line.strip("|").split("|") for line in path.read_text().splitlines() if line.startswith("| `")]
        return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines if "e-" in "".join(cells)}

    measured, told = rows(ROOT / "vrft_pl/distributed/README.md"), rows(ROOT / "README.md")
    assert list(told) == list(measured)
    columns = (0, 1, 2, 4, 6, 9)
    assert all(cells == [measured[name][i] for i in columns] for name, cells in told.items())

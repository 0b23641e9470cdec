from pathlib import Path

import pytest

from vrft_pl.__main__ import main

ROOT = Path(__file__).parents[1]
STANDALONE = sorted(p for folder in ("configs", "experiments") for p in (ROOT / folder).rglob("*.yaml"))
HARDWARE = [path for path in STANDALONE if path.parent.name == "hardware"]


def show(*paths):
    with pytest.raises(SystemExit) as stop:
        main(["fit", *(word for path in paths for word in ("--config", str(path))), "--print_config"])
    return stop.value.code


def test_there_are_configs():
    names = {path.relative_to(ROOT).as_posix() for path in STANDALONE}
    assert {"configs/quickstart.yaml", "configs/counting/grpo.yaml", "configs/grounding/sft.yaml"} <= names
    assert len(HARDWARE) >= 3


@pytest.mark.parametrize(
    "path", [p for p in STANDALONE if p not in HARDWARE], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_config_agrees_with_the_signatures_it_configures(path, capsys, no_argv):
    assert show(path) in (0, None)
    assert "class_path" in capsys.readouterr().out


@pytest.mark.parametrize("path", HARDWARE, ids=lambda p: p.stem)
def test_hardware_file_layers_over_a_family(path, capsys, no_argv):
    assert show(ROOT / "configs/grounding/grpo.yaml", path) in (0, None)
    assert "vrft_pl.data.Grounding" in capsys.readouterr().out


def test_misspelt_key_in_a_config_is_refused(tmp_path, capsys, no_argv):
    bad = tmp_path / "bad.yaml"
    bad.write_text((ROOT / "configs/quickstart.yaml").read_text().replace("group_size", "grup_size"))
    assert show(bad) == 2
    assert "grup_size" in capsys.readouterr().err

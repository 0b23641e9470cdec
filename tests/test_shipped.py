from pathlib import Path

import pytest

import vrft_pl
from vrft_pl.__main__ import main
from vrft_pl.shipped import shipped

ROOT = Path(__file__).parents[1]


def test_a_config_of_the_repository_is_found_from_anywhere(tmp_path, monkeypatch, capsys, no_argv):
    monkeypatch.chdir(tmp_path)
    assert Path(shipped("configs/hardware/cpu.yaml")).read_text() == (ROOT / "configs/hardware/cpu.yaml").read_text()
    with pytest.raises(SystemExit) as stop:
        main(["validate", "--config", "configs/quickstart.yaml", "--print_config"])
    assert stop.value.code in (0, None)
    assert "ood_snow" in capsys.readouterr().out


def test_a_file_that_is_there_and_one_that_is_nowhere_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped("configs/none.yaml") == "configs/none.yaml"
    assert shipped("configs") == "configs"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/quickstart.yaml").touch()
    assert shipped("configs/quickstart.yaml") == "configs/quickstart.yaml"


def test_every_config_comes_with_the_package():
    inside = Path(vrft_pl.__file__).parent / "configs"
    assert {path.name for path in inside.iterdir()} == {path.name for path in (ROOT / "configs").iterdir()}

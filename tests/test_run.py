from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vrft_pl.run import RunOptions, has_wandb_key, print_summary, run_folder, run_loggers, write_summary
from vrft_pl.runs import MetricsLogger
from vrft_pl.types import InputError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write_netrc(path, host):
    path.write_text(f"machine {host}\n  login user\n  password none\n")
    path.chmod(0o600)


def test_a_run_is_named_after_its_config_the_time_and_the_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = run_folder(RunOptions(), "quickstart", seed=7)
    assert re.fullmatch(r"runs/quickstart/\d{8}-\d{6}-seed7", folder.as_posix())
    assert list(tmp_path.iterdir()) == []


def test_a_named_folder_is_used_as_it_is(tmp_path):
    (tmp_path / "metrics.csv").touch()
    assert run_folder(RunOptions(folder=str(tmp_path)), "quickstart") == tmp_path


def test_a_finished_run_is_not_written_over(tmp_path):
    write_summary(tmp_path, {}, {}, 1.0)
    with pytest.raises(
        InputError, match="Expected `run.folder` to be new, but .* holds a finished run. Name another one"
    ):
        run_folder(RunOptions(folder=str(tmp_path)), "quickstart")


def test_a_summary_holds_both_scores_and_the_time(tmp_path):
    write_summary(tmp_path / "new" / "run", {"val/id": 0.25}, {"val/id": 0.5}, 12.34)
    summary = json.loads((tmp_path / "new/run/summary.json").read_text())
    assert summary == {"before": {"val/id": 0.25}, "after": {"val/id": 0.5}, "seconds": 12.3}
    assert [path.name for path in (tmp_path / "new/run").iterdir()] == ["summary.json"]


def test_a_summary_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_summary(tmp_path, {}, {"val/id": 0.5}, 1.0)
    with pytest.raises(TypeError):
        write_summary(tmp_path, {}, {"val/id": object()}, 1.0)
    assert json.loads((tmp_path / "summary.json").read_text())["after"] == {"val/id": 0.5}


def test_the_table_shows_what_changed(tmp_path, capsys):
    print_summary(tmp_path, {"val/id": 0.25, "val/old": 1.0}, {"val/id": 0.5, "val/new": 0.1}, 61.7)
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[1]: re.findall(r"[+-]?\d\.\d+", line) for line in lines if "val/" in line}
    assert cells == {"val/id": ["0.250", "0.500", "+0.250"], "val/old": ["1.000"], "val/new": ["0.100"]}
    assert "62 s" in lines[0]
    assert lines[-1] == f"Files of this run: {tmp_path}"


def test_a_run_without_scores_prints_no_table(tmp_path, capsys):
    print_summary(tmp_path, {}, {}, 1.0)
    assert capsys.readouterr().out == f"Files of this run: {tmp_path}\n"


def test_a_key_is_found_in_the_environment(home, monkeypatch):
    assert not has_wandb_key()
    monkeypatch.setenv("WANDB_API_KEY", "none")
    assert has_wandb_key()


@pytest.mark.parametrize(("host", "expected"), [("api.wandb.ai", True), ("example.org", False)])
def test_a_key_is_found_where_login_puts_it(home, host, expected):
    write_netrc(home / ".netrc", host)
    assert has_wandb_key() is expected


def test_a_key_is_looked_for_under_the_servers_own_name(home, monkeypatch):
    write_netrc(home / ".netrc", "wandb.example.org")
    assert not has_wandb_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org/")
    assert has_wandb_key()


@pytest.mark.parametrize("content", [b"machine", b"\xff\xfe\x00", b"nonsense here"], ids=str)
def test_a_broken_netrc_holds_no_key(home, content):
    (home / ".netrc").write_bytes(content)
    assert not has_wandb_key()


def test_metrics_go_to_a_csv_file_in_the_folder_of_the_run(tmp_path):
    (logger,) = run_loggers(RunOptions(wandb="off"), tmp_path / "run")
    assert isinstance(logger, MetricsLogger)
    assert Path(logger.save_dir) == tmp_path / "run"


@pytest.mark.parametrize(
    ("mode", "key", "offline"),
    [
        pytest.param("auto", False, True, id="auto-without-key"),
        pytest.param("auto", True, False, id="auto-with-key"),
        pytest.param("offline", True, True, id="offline"),
        pytest.param("online", True, False, id="online"),
        pytest.param("online", False, True, id="online-without-key"),
    ],
)
def test_runs_are_logged_online_where_there_is_a_key(tmp_path, monkeypatch, mode, key, offline):
    made = []
    monkeypatch.setattr("vrft_pl.run.has_wandb_key", lambda: key)
    monkeypatch.setattr("vrft_pl.run.WandbOrOffline", lambda folder, **kwargs: made.append(kwargs))
    run_loggers(RunOptions(wandb=mode, project="mine"), tmp_path / "quickstart" / "now")
    assert [(m["offline"], m["project"], m["name"]) for m in made] == [(offline, "mine", "quickstart-now")]


def test_score_that_is_no_number_becomes_null(tmp_path):
    write_summary(tmp_path, {"val/id/BoxIoU": float("nan")}, {"val/id/BoxIoU": 0.5}, 1.0)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["before"] == {"val/id/BoxIoU": None}
    assert summary["after"] == {"val/id/BoxIoU": 0.5}

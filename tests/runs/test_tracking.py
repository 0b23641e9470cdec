import logging

import pytest
import wandb

from vrft_pl.runs import WandbOrOffline, tracking


@pytest.fixture(autouse=True)
def closed_port(tmp_path, monkeypatch):
    """A server that refuses every connection, and settings of nobody."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tracking, "SECONDS", 2)
    yield
    wandb.finish()


def logger(folder, **kwargs):
    folder.mkdir()
    return WandbOrOffline(folder, **{"name": "now", "project": "mine", "offline": False, **kwargs})


@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param("fake", "API key", id="malformed-key"),
        pytest.param("a" * 40, "connection refused", id="unreachable"),
    ],
)
def test_a_run_goes_on_offline_with_one_line(tmp_path, monkeypatch, caplog, key, said):
    monkeypatch.setenv("WANDB_API_KEY", key)
    with caplog.at_level(logging.INFO):
        made = logger(tmp_path / "run")
        made.log_metrics({"train/reward": 0.5}, 3)
    (line,) = [record.message for record in caplog.records if "W&B" in record.message]
    assert "could not start online, so the run goes on offline" in line
    assert said in line
    assert "\n" not in line
    assert made.experiment.offline
    assert list((tmp_path / "run").glob("wandb/offline-run-*"))


def test_a_run_trains_without_files_of_wandb(tmp_path, monkeypatch, caplog):
    def refuse(**kwargs):
        if kwargs["mode"] != "disabled":
            raise OSError("read-only file system")
        return start(**kwargs)

    start = wandb.init
    monkeypatch.setattr(wandb, "init", refuse)
    with caplog.at_level(logging.INFO):
        logger(tmp_path / "run", offline=True).log_metrics({"train/reward": 0.5}, 3)
    lines = [record.message for record in caplog.records if "W&B" in record.message]
    assert lines == ["W&B could not start offline, so the run leaves it out: read-only file system"]

import logging
import os
import time
from pathlib import Path
from threading import Event

import pytest
import wandb
from lightning.pytorch.utilities import rank_zero_only

from vrft_pl.runs import MetricsLogger, WandbOrOffline, run_loggers, tracking
from vrft_pl.runs.given import given, logged
from vrft_pl.runs.tracking import has_wandb_key, staged_below


@pytest.fixture(autouse=True)
def closed_port(tmp_path, monkeypatch):
    """A server that refuses every connection, and settings of nobody."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tracking, "SECONDS", 2)
    wandb.teardown()  # its process may know of another server from an earlier test
    yield
    wandb.finish()
    wandb.teardown()


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


def test_a_run_that_goes_on_is_the_same_run_of_wandb(tmp_path, monkeypatch):
    """One that starts anew in the folder is another."""
    started, start = [], wandb.init

    def noted(**kwargs):
        started.append((kwargs["id"], kwargs["resume"]))
        return start(**{**kwargs, "mode": "disabled"})

    monkeypatch.setattr(wandb, "init", noted)
    (tmp_path / "run").mkdir()
    for goes_on in (False, True, True, False):
        WandbOrOffline(tmp_path / "run", "now", "mine", True, goes_on=goes_on).log_metrics({"train/reward": 0.5}, 3)
    first, *rest, anew = started
    assert rest == [first, first]
    assert first[1] == "allow"
    assert first[0]
    assert anew[0] != first[0]


def end():
    """End a run; its file is whole when the process that writes it is gone."""
    wandb.finish()
    wandb.teardown()


def numbers(folder):
    """What lies in the files of W&B, as (step, name)."""
    for path in (folder / "wandb").glob("offline-run-*/*.wandb"):
        for step, names in logged(path):
            yield from ((step, name) for name in names if name.startswith(("train/l", "val/")))


def test_each_number_of_a_step_is_logged_once_however_often_a_run_goes_on(tmp_path):
    first = logger(tmp_path / "run", offline=True)
    first.log_metrics({"val/IoU": 0.5, "epoch": 0}, 0)
    first.log_table("val/said", ["id"], [["row 7"]], step=0)
    for step in (0, 1, 3, 4):
        first.log_metrics({"train/loss": float(step), "epoch": 0}, step)
    end()
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    folder.rename(folder.with_name(f"offline-run-20260101_000000-{first.experiment.id}"))  # not of the same second
    again = WandbOrOffline(tmp_path / "run", "now", "mine", True, goes_on=True)
    again.log_metrics({"val/IoU": 0.5, "epoch": 0}, 0)
    again.log_table("val/said", ["id"], [["row 7"]], step=0)
    again.fill_in([{"step": str(step), "train/loss": "0.5", "epoch": "0"} for step in (0, 1, 2)])
    with again.again():
        again.log_metrics({"train/loss": 2.0, "epoch": 0}, 2)  # as a validation that a kill broke off
    for step in (3, 4, 5):
        again.log_metrics({"train/loss": float(step), "epoch": 0}, step)
    again.log_metrics({"val/IoU": 0.5, "epoch": 0}, 5)
    end()
    expected = [(0, "val/IoU"), (0, "val/said"), (5, "val/IoU"), *((step, "train/loss") for step in range(6))]
    assert sorted(numbers(tmp_path / "run")) == sorted(expected)


def test_two_rows_of_a_step_with_the_same_names_are_both_logged_by_a_run_that_goes_on(tmp_path):
    """As those of evaluations before and after the first step."""
    first = logger(tmp_path / "run", offline=True)
    first.log_metrics({"val/IoU": 0.5, "epoch": 0}, 0)
    end()
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    folder.rename(folder.with_name(f"offline-run-20260101_000000-{first.experiment.id}"))
    again = WandbOrOffline(tmp_path / "run", "now", "mine", True, goes_on=True)
    again.fill_in([{"step": "0", "val/IoU": "0.5", "epoch": "0"}] * 2)
    again.log_metrics({"val/IoU": 0.5, "epoch": 0}, 0)
    end()
    assert list(numbers(tmp_path / "run")) == [(0, "val/IoU")] * 3


def test_what_the_server_never_got_of_a_killed_process_is_not_taken_for_logged(tmp_path):
    """Files of offline runs count as a whole: they are uploaded later."""
    made = logger(tmp_path / "run", offline=True)
    for step in range(4):
        made.log_metrics({"train/loss": 0.5}, step)
    run_id = made.experiment.id
    end()
    wandb_folder = tmp_path / "run" / "wandb"
    (offline,) = wandb_folder.glob("offline-run-*")
    assert given(wandb_folder, run_id, sent=2).keys() == {0, 1, 2, 3}
    offline.rename(wandb_folder / offline.name.removeprefix("offline-"))
    assert given(wandb_folder, run_id, sent=2).keys() == {0, 1}
    assert given(wandb_folder, "another", sent=2) == {}


def test_a_run_goes_on_without_wandb_where_it_fails_later(tmp_path, monkeypatch, caplog):
    made, asked = logger(tmp_path / "run", offline=True), []

    def broken(numbers, *args, **kwargs):
        asked.append(numbers)
        raise BrokenPipeError("its process is gone")

    made.log_metrics({"train/reward": 0.5}, 3)
    monkeypatch.setattr(made.experiment, "log", broken)
    with caplog.at_level(logging.INFO):
        for step in (4, 5):
            made.log_metrics({"train/reward": 0.5}, step)
        made.log_table("completions", ["id"], [["row 7"]])
        made.log_hyperparams({"seed": 0})
        made.finalize("success")
    lines = [record.message for record in caplog.records if "W&B" in record.message]
    assert lines == ["W&B failed, so the run leaves it out from here on: BrokenPipeError: its process is gone"]
    assert len(asked) == 1


def test_wandb_that_does_not_answer_holds_a_run_up_once(tmp_path, monkeypatch, caplog):
    """As when its process is frozen, and takes nothing any more."""
    made, let_go = logger(tmp_path / "run", offline=True), Event()
    made.log_metrics({"train/reward": 0.5}, 3)
    monkeypatch.setattr(tracking, "CALL_SECONDS", 0.1)
    monkeypatch.setattr(made.experiment, "log", lambda *args, **kwargs: let_go.wait(30))
    start = time.monotonic()
    with caplog.at_level(logging.INFO):
        for step in (4, 5, 6):
            made.log_metrics({"train/reward": 0.5}, step)
    assert time.monotonic() - start < 5
    let_go.set()
    lines = [record.message for record in caplog.records if "W&B" in record.message]
    assert lines == ["W&B failed, so the run leaves it out from here on: TimeoutError: no answer within 0 s"]


def test_the_end_of_a_run_waits_for_wandb_no_longer_than_it_may(monkeypatch, caplog):
    let_go, ended = Event(), []
    monkeypatch.setattr(tracking, "end_service", lambda: ended.append(True))
    with caplog.at_level(logging.INFO), monkeypatch.context() as patch:
        patch.setattr(wandb, "finish", lambda exit_code=None: let_go.wait(30))
        tracking.finish(seconds=0.1)
    let_go.set()
    assert ended == [True]
    assert "W&B was not done within 0 s and is left behind; `wandb sync` uploads" in caplog.text


def test_wandb_that_fails_at_the_end_does_not_end_a_run_with_an_error(monkeypatch, caplog):
    def broken(exit_code=None):
        raise BrokenPipeError("its process is gone")

    with caplog.at_level(logging.INFO), monkeypatch.context() as patch:
        patch.setattr(wandb, "finish", broken)
        tracking.finish()
    assert "W&B failed at the end of the run: its process is gone" in caplog.text


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
    (logger,) = run_loggers(tmp_path / "run", "off", "mine")
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
    monkeypatch.setattr("vrft_pl.runs.tracking.has_wandb_key", lambda: key)
    monkeypatch.setattr("vrft_pl.runs.tracking.WandbOrOffline", lambda folder, *args: made.append(args))
    run_loggers(tmp_path / "quickstart" / "now", mode, "mine", "shots", "sft", ["a"])
    assert made == [("quickstart-now", "mine", offline, "shots", "sft", ["a"], False)]


def test_where_wandb_keeps_what_waits_is_left_to_a_user_who_says_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "mine"))
    with staged_below(tmp_path / "run"):
        assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / "mine")
    assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / "mine")


@pytest.mark.parametrize("tags", [[""], ["a", "b" * 65]], ids=["empty", "long"])
def test_tags_that_wandb_refuses_are_named(tmp_path, tags):
    with pytest.raises(ValueError, match="Expected `tags` of 1 to 64 characters each, but got"):
        WandbOrOffline(tmp_path, name="now", project="mine", offline=True, tags=tags)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_alone_makes_the_folder(tmp_path, monkeypatch, rank):
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    run_loggers(tmp_path / "run", "offline", "mine")
    assert (tmp_path / "run").exists() == (rank == 0)

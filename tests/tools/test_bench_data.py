"""The bench of the data path: that it runs, reads the same pictures on both sides, and sees memory grow."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import bench_data

    return bench_data


@pytest.fixture
def run(bench, monkeypatch, tmp_path, capsys):
    def run(*args):
        monkeypatch.setattr(sys, "argv", ["bench_data.py", *args, "--json", str(tmp_path / "numbers.json")])
        bench.main()
        return json.loads((tmp_path / "numbers.json").read_text()), capsys.readouterr().out

    return run


@pytest.mark.parametrize("workers", [0, 1])
def test_both_sides_are_measured_and_printed(run, workers):
    numbers, printed = run("--images", "4", "--size", "64", "48", "--repetitions", "2", "--workers", str(workers))
    speed = numbers["speed"]
    assert [len(values) for values in speed["rates"].values()] == [2, 2]
    assert min(speed["plain"], speed["task"]) > 0
    assert (speed["pictures"], speed["workers"]) == (4, workers)
    assert f"| loader of Samples + processor | {speed['task']:,.1f} | {speed['share']:.1%} |" in printed


@pytest.mark.parametrize("workers", [0, 1])
def test_both_sides_see_the_same_pictures(bench, tmp_path, workers):
    paths = [tmp_path / f"{i}.jpg" for i in range(3)]
    for i, path in enumerate(paths):
        path.write_bytes(bench.jpeg(i, 40, 30))
    plain = list(bench.plain_pictures(paths, workers))
    ours = list(bench.task_pictures(paths, workers, tmp_path)())
    assert all(np.array_equal(a, b) for a, b in zip(plain, ours, strict=True))
    assert not np.array_equal(plain[0], plain[1])


def test_pictures_of_a_folder_are_read(run, bench, tmp_path):
    (tmp_path / "own" / "deep").mkdir(parents=True)
    for name in ("a.JPG", "deep/b.jpeg", "c.txt"):
        (tmp_path / "own" / name).write_bytes(bench.jpeg(0, 40, 30))
    numbers, _ = run("--folder", str(tmp_path / "own"), "--repetitions", "1")
    assert numbers["speed"]["pictures"] == 2


def test_a_stream_is_read_to_its_end(run, bench, monkeypatch):
    monkeypatch.setattr(bench, "ROWS_IN_FILE", 50)
    monkeypatch.setattr(bench, "ROWS_IN_GROUP", 10)
    numbers, printed = run("--stream", "120", "--size", "32", "32")
    assert numbers["stream"]["samples"] == 120
    assert "| 120 |" in printed


def test_growth_counts_from_the_first_warm_sample_to_the_largest(run, bench, monkeypatch):
    memory = iter([100.0, 90.0, 130.0, 120.0, 110.0])
    monkeypatch.setattr(bench, "resident", lambda: next(memory))
    stream = run("--stream", "80", "--size", "16", "16")[0]["stream"]
    assert (stream["warm_mib"], stream["growth_mib"], stream["last_mib"]) == (100.0, 30.0, 110.0)


def process(mib, bench, *children, gone=False):
    """Stand in for a process of psutil."""

    def memory_info():
        if gone:
            raise psutil.NoSuchProcess(1)
        return SimpleNamespace(rss=mib * bench.MIB)

    return SimpleNamespace(memory_info=memory_info, children=lambda recursive: list(children))


def test_memory_is_that_of_the_process_and_its_workers(bench, monkeypatch):
    ended = process(70, bench, gone=True)
    monkeypatch.setattr(psutil, "Process", lambda: process(100, bench, process(20, bench), ended, process(3, bench)))
    assert bench.resident() == 123


def test_memory_of_this_process_is_seen(bench):
    assert bench.resident() > 10


@pytest.mark.parametrize(
    ("args", "message"),
    [
        pytest.param(["--images", "0"], "Expected images, repetitions and sizes of at least 1", id="no-picture"),
        pytest.param(["--workers", "-1"], "and no negative number", id="workers"),
        pytest.param(["--folder", "."], "Expected JPEGs in .*, but there is none", id="empty-folder"),
    ],
)
def test_wrong_arguments_are_refused(run, tmp_path, monkeypatch, capsys, args, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run(*args)
    assert stop.value.code == 2
    assert message.split(" .*")[0] in capsys.readouterr().err


def test_workers_share_the_credit(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "rate", lambda pictures, process: 10.0)
    (tmp_path / "a.jpg").write_bytes(bench.jpeg(0, 16, 16))
    assert bench.compare([tmp_path / "a.jpg"], 2, 1, print)["task"] == 5.0

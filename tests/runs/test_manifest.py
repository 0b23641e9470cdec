import subprocess

import pytest
from lightning import Trainer

from vrft_pl.data import Counting, CountingScenes, First, ReasonJSON
from vrft_pl.runs import RunFolder
from vrft_pl.runs.manifest import data_ids, git_state, note_ways, write_manifest

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")


def git(*args):
    subprocess.run([*GIT, *args], check=True, capture_output=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory that belongs to no repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def write(folder, task=None, kind="fit", **config):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    told = ["vrft_pl", kind, "--config", "x.yaml"]
    write_manifest(folder, kind, told, {"seed_everything": 3, **config}, trainer, task)


def test_how_the_model_was_computed_stands_in_the_last_start_alone(place):
    folder = RunFolder(place / "run")
    note_ways(folder, "Qwen", {"sharing": True})
    assert not folder.starts()
    write(folder)
    write(folder)
    note_ways(folder, "Qwen", {"sharing": True, "packing": None, "SharedPrompt": False}, "4f0c")
    first, second = folder.starts()
    assert "ways" not in first
    assert (second["model"], second["ways"]) == ("Qwen", {"sharing": True, "SharedPrompt": False})
    assert (second["seed"], second["checkpoint_commit"]) == (3, "4f0c")


def test_each_start_of_a_run_is_added_to_those_before(place):
    folder = RunFolder(place / "run")
    write(folder)
    write(folder, ckpt_path="run/checkpoints/step=1.ckpt")
    first, second = folder.starts()
    assert (first["checkpoint"], second["checkpoint"]) == (None, "run/checkpoints/step=1.ckpt")
    assert first["command"] == ["vrft_pl", "fit", "--config", "x.yaml"]
    assert (first["seed"], first["config"]) == (3, {"seed_everything": 3})
    assert {"python", "vrft_pl", "torch", "transformers", "lightning"} <= set(first["versions"])
    assert (first["device"]["kind"], first["device"]["ranks"], first["device"]["precision"]) == ("cpu", 1, "32-true")


def test_there_is_no_commit_outside_a_repository(place):
    assert git_state() is None


def test_there_is_no_commit_without_git(place, monkeypatch):
    git("init")
    monkeypatch.setenv("PATH", "")
    assert git_state() is None


def test_a_commit_is_dirty_when_a_tracked_file_differs_from_it(place):
    git("init")
    (place / "code.py").write_text("a = 1\n")
    git("add", "code.py")
    git("commit", "-m", "first")
    (place / "runs").mkdir()
    (place / "runs/new.txt").touch()
    clean = git_state()
    (place / "code.py").write_text("a = 2\n")
    assert (clean["dirty"], len(clean["commit"])) == (False, 40)
    assert git_state() == {**clean, "dirty": True}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param({"train": CountingScenes(size=9)}, True, id="again"),
        pytest.param({"train": CountingScenes(size=9), "seed": 1}, False, id="another-seed"),
        pytest.param({"train": CountingScenes("snow", size=9)}, False, id="another-domain"),
        pytest.param({"train": First(CountingScenes(size=9), 8)}, False, id="fewer-rows"),
    ],
)
def test_the_hash_of_the_data_is_that_of_the_rows(other, same):
    one = data_ids(Counting(CountingScenes(size=9)), ["train"])["train/train"]
    two = data_ids(Counting(**other), ["train"])["train/train"]
    assert (one == two) is same
    assert one["rows"] == 9
    assert len(one["sha256"]) == 64


def test_rows_that_are_left_out_are_not_in_the_hash(place):
    row = '{"image": [], "problem": "How many?", "answer": "%s"}\n'
    (place / "rows.jsonl").write_text(row % 1 + row % "many" + row % 2)
    task = Counting(ReasonJSON(str(place / "rows.jsonl")), on_bad_row="skip")
    with pytest.warns(UserWarning, match="Skipped 1 of 3 rows"):
        found = data_ids(task, ["train"])["train/train"]
    assert found["rows"] == 2


def test_a_command_names_the_data_that_it_reads(place):
    task = Counting(CountingScenes(size=2), val={"id": CountingScenes(size=3)}, test={"out": CountingScenes(size=4)})
    for command, expected in (
        ("fit", {"train/train": 2, "val/id": 3}),
        ("validate", {"val/id": 3}),
        ("test", {"test/out": 4}),
    ):
        folder = RunFolder(place / command)
        write(folder, task, command)
        assert {part: data["rows"] for part, data in folder.starts()[0]["data"].items()} == expected

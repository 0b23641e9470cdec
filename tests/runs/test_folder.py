import json
import os

import pytest
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from reports import NESTED

from vrft_pl.runs import CompletionRecord, MetricsLogger, RunFolder
from vrft_pl.runs.checksums import seal
from vrft_pl.runs.files import whole_file
from vrft_pl.types import InputError


def record(step, row=0, text="3", **more):
    return CompletionRecord(step, 0, row, "id", f"row {row}", "How many?", "3", text, "stop", **more)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def keys(folder):
    return [tuple(record.key) for record in folder.predictions()]


def lines(folder, name):
    return (folder.path / name).read_bytes().splitlines(keepends=True)


def make(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (seconds, seconds))
    return path


def test_a_folder_is_not_made_before_something_is_kept(folder):
    assert [*folder.completions(), *folder.metrics(), *folder.starts()] == []
    assert folder.newest_checkpoint() is None
    folder.cut_back(folder.COMPLETIONS, 0)
    assert not folder.path.exists()


def test_what_is_appended_is_read_again(folder):
    first, second = record(0, 0, "é\n", tags=("a",), scores={"R": 0.5}), record(0, 1, "\ud83d", boxes=[[1.0]])
    folder.append(folder.COMPLETIONS, [first])
    folder.append(folder.COMPLETIONS, [second])
    assert list(folder.completions()) == [first, second]
    assert "boxes" not in json.loads(lines(folder, "completions.jsonl")[0])


def test_records_of_the_step_and_after_it_are_cut_off(folder):
    folder.append(folder.COMPLETIONS, map(record, (0, 1, 1, 2, 3)))
    kept = lines(folder, "completions.jsonl")[:3]
    folder.cut_back(folder.COMPLETIONS, 2)
    assert lines(folder, "completions.jsonl") == kept
    assert [path.name for path in folder.path.iterdir()] == ["completions.jsonl"]


def test_lines_that_are_no_records_are_left_out(folder):
    folder.append(folder.COMPLETIONS, [record(0)])
    with (folder.path / "completions.jsonl").open("ab") as file:
        file.write(NESTED + b"\n")
        file.write(b'\xff\n[3]\n{"other": 1}\n{"step": null}\n{"step": 0, "id": "cut in tw')
    assert list(folder.completions()) == [record(0)]
    folder.cut_back(folder.COMPLETIONS, 5)
    assert len(lines(folder, "completions.jsonl")) == 1


def test_an_evaluation_takes_the_place_of_the_one_at_its_step(folder):
    for step, rows in ((0, 2), (20, 1), (10, 2), (0, 1)):
        folder.replace(folder.PREDICTIONS, step, [record(step, row) for row in range(rows)])
    assert keys(folder) == [(0, 0, 0), (10, 0, 0), (10, 0, 1), (20, 0, 0)]


def test_a_picture_is_written_once(folder):
    folder.keep_pictures({"a.webp": b"first"})
    folder.keep_pictures({"a.webp": b"again", "b.webp": b"other"})
    assert folder.kept_pictures() == {"a.webp", "b.webp"}
    assert folder.picture("a.webp").read_bytes() == b"first"


def test_pictures_that_no_record_names_any_more_are_cut_back_with_them(folder):
    folder.keep_pictures({f"{name}.webp": b"picture" for name in "abcd"})
    folder.append(folder.COMPLETIONS, [record(0, pictures=("a.webp",)), record(1, pictures=("b.webp",))])
    folder.replace(folder.PREDICTIONS, 1, [record(1, pictures=("c.webp",))])
    folder.cut_back(folder.COMPLETIONS, 1)
    assert folder.kept_pictures() == {"a.webp", "c.webp"}


@pytest.mark.parametrize(
    "name", ["../metrics.csv", "/etc/passwd", "..", "", "a\0", "none.webp", "x" * 5000], ids=lambda n: repr(n[:20])
)
def test_a_name_that_is_of_no_picture_leads_nowhere(folder, name):
    MetricsLogger(folder.path).log_metrics({"loss": 0.5}, 2)
    folder.keep_pictures({"a.webp": b"picture"})
    assert folder.picture(name) is None


def test_a_file_that_cannot_be_written_leaves_the_old_one(folder):
    folder.write(folder.SUMMARY, {"after": {"val/id": 0.5}})
    with pytest.raises(TypeError):
        folder.write(folder.SUMMARY, {"after": object()})
    assert folder.summary() == {"after": {"val/id": 0.5}}
    assert [path.name for path in folder.path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", NESTED], ids=["nothing", "cut", "bytes", "nested"])
def test_a_file_that_is_no_json_is_named(folder, content):
    folder.path.mkdir()
    (folder.path / "summary.json").write_bytes(content)
    with pytest.raises(InputError, match=r"Expected JSON in .*summary\.json, but it can't be read"):
        folder.summary()


@pytest.mark.parametrize(
    "content", [b"a: [", b"\xff", b"a: 2001-99-99", NESTED], ids=["cut", "bytes", "date", "nested"]
)
def test_a_config_that_is_no_yaml_is_named(folder, content):
    folder.path.mkdir()
    (folder.path / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"Expected YAML in .*config\.yaml, but it can't be read"):
        folder.config()


def test_the_config_and_what_was_logged_are_read_again(folder):
    folder.write_text(folder.CONFIG, "trainer: {max_steps: 3}\n")
    MetricsLogger(folder.path).log_metrics({"loss": 0.5}, 2)
    assert folder.config() == {"trainer": {"max_steps": 3}}
    assert folder.metrics() == [{"loss": "0.5", "step": "2"}]


@pytest.mark.parametrize(("name", "finished"), [("summary.json", True), ("scores.json", True), ("metrics.csv", False)])
def test_scores_tell_that_a_run_is_finished(folder, name, finished):
    make(folder.path / name, 0)
    assert folder.finished is finished


@pytest.mark.parametrize("where", ["checkpoints/step=1.ckpt", "hpc_ckpt_1.ckpt"])
def test_the_run_that_wrote_a_checkpoint_is_found(folder, where):
    checkpoint = make(folder.path / where, 0)
    assert RunFolder.holding(checkpoint) is None
    folder.write(folder.MANIFEST, {"starts": []})
    found = RunFolder.holding(str(checkpoint))
    assert found is not None
    assert found.path == folder.path
    assert RunFolder.holding(folder.path / "a/b/step=1.ckpt") is None


def test_the_newest_checkpoint_is_still_known_in_a_copy(folder):
    """`cp -r` writes files in any order and with the time of now; so do object stores."""
    paths = [folder.checkpoints / name for name in ("step=8.ckpt", "step=10.ckpt")]
    folder.checkpoints.mkdir(parents=True)
    for path in paths:
        path.touch()
        seal(path)
    os.utime(paths[0], (2e9, 2e9))
    assert folder.newest_checkpoint() == paths[1]


def test_the_newest_checkpoint_is_the_one_written_last(folder):
    make(folder.checkpoints / "step=20.ckpt", 100)
    newest = make(folder.checkpoints / "step=10.ckpt", 200)
    with pytest.raises(KeyboardInterrupt), whole_file(folder.checkpoints / "step=30.ckpt"):  # noqa: PT012
        assert folder.newest_checkpoint() == newest
        raise KeyboardInterrupt
    requeued = make(folder.path / "hpc_ckpt_1.ckpt", 300)
    assert folder.newest_checkpoint() == requeued


def test_checkpoints_that_are_kept_elsewhere_are_found_there(folder, tmp_path):
    elsewhere = make(tmp_path / "kept/step=1.ckpt", 0)
    assert RunFolder(folder.path, str(tmp_path / "kept")).newest_checkpoint() == elsewhere


def test_the_folder_of_a_trainer_is_where_its_first_logger_writes(tmp_path):
    quiet = {"accelerator": "cpu", "enable_checkpointing": False}
    assert RunFolder.of(Trainer(logger=False, default_root_dir=tmp_path, **quiet)).path == tmp_path
    logger = CSVLogger(tmp_path, "run", "0")
    assert RunFolder.of(Trainer(logger=logger, **quiet)).path == tmp_path / "run/0"


def stands(path, kind):
    """Put something at a path that is no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/null")
    else:
        path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device", "a link that leads nowhere"])
@pytest.mark.parametrize("name", ["metrics.csv", "completions.jsonl", "manifest.json", "summary.json", "config.yaml"])
def test_what_is_no_file_is_refused_before_a_run_and_when_it_is_read(folder, name, kind):
    stands(folder.path / name, kind)
    with pytest.raises(InputError, match=f"Expected a file at .*{name}, but it is {kind}. Move it away, or name "):
        folder.refuse_others()
    assert not folder.finished
    read = {"metrics.csv": folder.metrics, "completions.jsonl": folder.completions, "manifest.json": folder.starts}
    with pytest.raises(InputError, match=f"{name}, .*it is {kind}"):
        list({**read, "summary.json": folder.summary, "config.yaml": folder.config}[name]())


@pytest.mark.parametrize("name", ["checkpoints", "pictures", "export"])
def test_what_is_no_folder_is_refused_before_a_run(folder, name):
    folder.refuse_others()
    make(folder.path / name, 0)
    with pytest.raises(InputError, match=f"Expected a folder at .*{name}, but it is none"):
        folder.refuse_others()


def test_a_link_to_a_file_is_a_file(folder, tmp_path):
    make(tmp_path / "elsewhere", 0)
    folder.path.mkdir()
    (folder.path / "metrics.csv").symlink_to(tmp_path / "elsewhere")
    folder.refuse_others()
    assert folder.metrics() == []


def test_a_file_that_may_not_be_read_is_refused(folder, monkeypatch):
    make(folder.path / "metrics.csv", 0)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match="but it is one that may not be read"):
        folder.refuse_others()

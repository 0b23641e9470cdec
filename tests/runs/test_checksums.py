import json
import os
import zipfile

import pytest
import torch

from vrft_pl.runs import RunFolder, WholeCheckpointIO, damage
from vrft_pl.runs.checksums import manifest_of, renew, seal, written_at
from vrft_pl.types import InputError

CHECKPOINT = {"state_dict": {"weight": torch.arange(5000.0)}, "global_step": 3, "pytorch-lightning_version": "2.6.0"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints/step=3.ckpt"
    WholeCheckpointIO().save_checkpoint(CHECKPOINT, path)
    return path


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_that_is_whole_has_no_damage(path):
    assert damage(path) is None
    written = json.loads(manifest_of(path).read_text())["files"]
    assert written["step=3.ckpt"]["bytes"] == path.stat().st_size
    assert torch.equal(WholeCheckpointIO().load_checkpoint(path)["state_dict"]["weight"], torch.arange(5000.0))


@pytest.mark.parametrize("sealed", [True, False], ids=["with-manifest", "without"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7], ids=str)
def test_a_bit_that_flips_is_seen(path, share, sealed):
    """Also by the checksums that torch keeps, of the data: not every byte between them counts."""
    if not sealed:
        manifest_of(path).unlink()
    flip(path, int(path.stat().st_size * share))
    assert damage(path) is not None


@pytest.mark.parametrize("sealed", [True, False], ids=["with-manifest", "without"])
@pytest.mark.parametrize("left", [0, 1, 100, -1], ids=str)
def test_a_file_that_was_cut_off_is_seen(path, left, sealed):
    if not sealed:
        manifest_of(path).unlink()
    path.write_bytes(path.read_bytes()[:left])
    assert damage(path) is not None


def test_a_checkpoint_of_an_earlier_version_is_whole_without_a_manifest(path):
    manifest_of(path).unlink()
    assert damage(path) is None


def test_a_checkpoint_that_is_written_over_is_not_judged_by_the_manifest_before(path):
    WholeCheckpointIO().save_checkpoint({**CHECKPOINT, "global_step": 4}, path)
    assert damage(path) is None
    flip(path, 2000)
    assert damage(path) == "step=3.ckpt is not what was written: its checksum differs"


def test_a_folder_is_judged_by_all_of_its_files(tmp_path):
    folder = tmp_path / "step=1.ckpt"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/shard").write_bytes(b"01234")
    (folder / "meta").write_bytes(b"5")
    assert damage(folder) == "it has no step=1.ckpt.manifest.json, which is written last"
    seal(folder)
    assert damage(folder) is None
    flip(folder / "deep/shard", 2)
    assert damage(folder) == "shard is not what was written: its checksum differs"
    (folder / "deep/shard").write_bytes(b"0123")
    assert damage(folder) == "shard has 4 bytes of 5"
    (folder / "deep/shard").unlink()
    assert damage(folder) == "shard is missing"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": 3}', '{"files": {}}', '{"files": {"a": {}}}', "[" * 99_999]
)
def test_a_manifest_that_someone_else_wrote_is_damage(path, text):
    manifest_of(path).write_text(text)
    assert damage(path) is not None


@pytest.mark.parametrize("kind", ["picture", "zip", "empty", "nothing", "folder"])
def test_what_is_no_checkpoint_is_named(tmp_path, kind):
    path = tmp_path / "step=1.ckpt"
    if kind == "picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("readme", "words")
    if kind == "empty":
        path.touch()
    if kind == "folder":
        path.mkdir()
    if kind == "zip":
        with pytest.raises((InputError, RuntimeError)):
            WholeCheckpointIO().load_checkpoint(path)
    else:
        assert damage(path) is not None


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], torch.zeros(3)], ids=["dict", "list", "tensor"])
def test_a_file_of_torch_that_holds_something_else_is_one_line(tmp_path, content):
    torch.save(content, tmp_path / "step=1.ckpt")
    with pytest.raises(InputError, match="Expected the checkpoint of a run at .*step=1.ckpt, but it holds"):
        WholeCheckpointIO().load_checkpoint(tmp_path / "step=1.ckpt")


def test_the_newest_whole_checkpoint_is_found_and_damaged_ones_are_named(tmp_path):
    folder, plugin = RunFolder(tmp_path), WholeCheckpointIO()
    assert folder.whole_checkpoint() == (None, {})
    paths = [folder.checkpoints / f"step={step}.ckpt" for step in (1, 2, 3)]
    for path in paths:
        plugin.save_checkpoint(CHECKPOINT, path)
    assert folder.whole_checkpoint() == (paths[2], {})
    flip(paths[2], 1000)
    paths[1].write_bytes(b"")
    newest, damaged = folder.whole_checkpoint()
    assert newest == paths[0]
    assert list(damaged) == [paths[1], paths[2]] or list(damaged) == [paths[2], paths[1]]


def test_a_manifest_goes_with_its_checkpoint(path):
    WholeCheckpointIO().remove_checkpoint(path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("others", [{}, {"step=2.ckpt": {"bytes": 1, "sha256": "a"}}, {"../other": {}}], ids=str)
def test_a_manifest_that_leaves_its_checkpoint_out_does_not_vouch_for_it(path, others):
    path.write_bytes(b"torn")
    manifest_of(path).write_text(json.dumps({"files": others}))
    assert damage(path) == "step=3.ckpt.manifest.json says nothing of it"


@pytest.mark.parametrize("written", ["Infinity", "-Infinity", "NaN", "null", '"soon"', "1e400", "9" * 5000])
def test_a_time_that_is_none_is_that_of_the_file(path, written):
    manifest_of(path).write_text(f'{{"written": {written}}}')
    assert written_at(path) == path.stat().st_mtime_ns


def test_the_checkpoint_written_last_is_the_newest_though_the_clock_was_set_back(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (8, 9, 10):
        path = folder.checkpoints / f"step={step}.ckpt"
        WholeCheckpointIO().save_checkpoint(CHECKPOINT, path)
        os.utime(path, ns=(10**18 - step, 10**18 - step))
        seal(path)
        assert folder.newest_checkpoint() == path
    gone_back_to = folder.checkpoints / "step=9.ckpt"
    manifest_of(folder.checkpoints / "step=10.ckpt").write_text('{"written": 4102444800000000000}')  # of 2100
    renew(gone_back_to)
    assert folder.newest_checkpoint() == gone_back_to


def test_a_checkpoint_that_is_a_dead_link_is_told_as_damage(tmp_path):
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    (dead := folder.checkpoints / "step=1.ckpt").symlink_to(tmp_path / "nowhere")
    assert folder.whole_checkpoint() == (None, {dead: "there is no such file"})

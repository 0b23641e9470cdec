"""Weights that are not what was exported."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from checkpoints import loaded

from vrft_pl.durable import new_folder
from vrft_pl.policy.loading import load_model
from vrft_pl.policy.sums import SUMS, check_sums
from vrft_pl.types import InputError


@pytest.fixture(scope="module")
def exported(qwen3_vl, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "export"
    mask = os.umask(0o027)
    try:
        loaded(qwen3_vl).export(folder)
    finally:
        os.umask(mask)
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "export")


def flip(path):
    """One bit of the last weight: the file is as long as before, and loads."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [pytest.param(flip, "it differs", id="a-bit"), pytest.param(os.unlink, "it is missing", id="gone")],
)
def test_weights_that_differ_are_refused_where_they_are_loaded(folder, damage, wrong):
    check_sums(folder)
    damage(folder / "model.safetensors")
    with pytest.raises(InputError, match=f"model.safetensors to be what .*{SUMS} says, but {wrong}: .* remove {SUMS}"):
        load_model(str(folder), "float32", None)


def test_what_was_changed_on_purpose_is_loaded_without_the_checksums(folder):
    flip(folder / "model.safetensors")
    (folder / SUMS).unlink()
    load_model(str(folder), "float32", None)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs the command of coreutils")
def test_the_checksums_are_those_of_the_system(folder):
    check = ["sha256sum", "--check", "--strict", SUMS]
    assert subprocess.run(check, cwd=folder, capture_output=True, check=True).stdout == b"model.safetensors: OK\n"


def test_files_have_the_rights_that_new_ones_have_here(exported):
    """Those of safetensors are for their owner alone."""
    assert {stat.S_IMODE(path.stat().st_mode) for path in exported.iterdir()} == {0o640}
    assert stat.S_IMODE(exported.stat().st_mode) == 0o750


@pytest.mark.parametrize("lasting", [True, False])
def test_what_is_written_lasts_through_a_power_cut(tmp_path, monkeypatch, lasting):
    """Content and names are synced before the folder has its final name, and that name after."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(os.readlink(f"/proc/self/fd/{handle}"))))
    with new_folder(tmp_path / "export", lasting) as new:
        (new / "below").mkdir()
        for name in ("weights", "below/more"):
            (new / name).touch()
    inside = {new, new / "below", new / "weights", new / "below/more"}
    assert (set(synced[:-1]), synced[-1:]) == ((inside, [tmp_path]) if lasting else (set(), []))


def test_what_a_killed_process_has_left_beside_a_folder_goes(tmp_path):
    (tmp_path / ".export.partial").mkdir()
    (tmp_path / ".export.partial/half").touch()
    with new_folder(tmp_path / "export") as new:
        (new / "whole").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["export", "whole"]

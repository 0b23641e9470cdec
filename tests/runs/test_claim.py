import errno
import os
import subprocess
import sys

import pytest

from vrft_pl.runs import Claim
from vrft_pl.types import InputError

HOLD = (
    "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True); input()"
)


def test_a_folder_is_claimed_until_it_is_released(tmp_path):
    claim = Claim(tmp_path / "new/run")
    assert claim.created
    with pytest.raises(InputError, match="nobody else to write into .*run, but another process does. Wait until"):
        Claim(tmp_path / "new/run", seconds=0)
    claim.release()
    again = Claim(tmp_path / "new/run", seconds=0)
    again.release()
    assert not again.created
    assert list((tmp_path / "new/run").iterdir()) == []


def test_a_process_that_is_killed_holds_no_claim(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], **pipes) as process:
        process.stdout.readline()
        with pytest.raises(InputError):
            Claim(tmp_path, seconds=0)
        process.kill()
    Claim(tmp_path, seconds=0).release()


def test_one_that_ends_in_time_is_waited_for(tmp_path, monkeypatch):
    claim = Claim(tmp_path)
    monkeypatch.setattr("time.sleep", lambda seconds: claim.release())
    Claim(tmp_path).release()


def test_a_file_system_without_locks_lets_everybody_in(tmp_path, monkeypatch):
    def flock(handle, operation):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr("fcntl.flock", flock)
    for claim in [Claim(tmp_path, seconds=0), Claim(tmp_path, seconds=0)]:
        claim.release()


def test_a_child_that_outlives_the_process_holds_no_claim(tmp_path):
    """As workers that read data do where a process is killed."""
    claim, (wait, go_on), (begun, begin) = Claim(tmp_path), os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        os.close(go_on)
        os.write(begin, b" ")
        os.read(wait, 1)
        os._exit(0)
    try:
        os.read(begun, 1)
        with pytest.raises(InputError):
            Claim(tmp_path, seconds=0)
        claim.release()
        Claim(tmp_path, seconds=0).release()
    finally:
        os.close(go_on)
        os.waitpid(child, 0)

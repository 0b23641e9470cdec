import subprocess
import sys
from pathlib import Path

import pytest

SAY = "import sys; from vrft_pl.stdout import say; sys.stderr.write(str([say('a'), say('b')]))"
REST = "; sys.stdout.write('c')"


def run(stdout):
    ended = subprocess.run(
        [sys.executable, "-c", SAY + REST], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )
    return ended.returncode, ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_a_full_disk_ends_nothing_and_is_no_exit_code():
    with open("/dev/full", "w") as full:
        assert run(full) == (0, "[False, True]")


def test_what_is_read_is_printed(tmp_path):
    with (tmp_path / "out").open("w") as file:
        assert run(file) == (0, "[True, True]")
    assert (tmp_path / "out").read_text() == "a\nb\nc"

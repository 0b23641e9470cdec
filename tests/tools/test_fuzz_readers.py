import signal
import time
from dataclasses import replace

import pytest

from vrft_pl.types import InputError

READERS = ("JSON", "JSONL", "ShareGPT", "COCO", "COCO singles", "LVIS", "VOC", "VOC list", "LISA", "CSV", "Parquet")
READERS += ("images",)


@pytest.fixture
def fuzz(tool):
    return tool("fuzz_readers")


@pytest.mark.parametrize("name", READERS)
def test_every_reader_reads_what_is_right_and_refuses_what_is_cut_off(fuzz, tmp_path, name):
    """Else it would be tried with nothing but what its first look refuses, or never read."""
    reader = fuzz.readers()[name]
    fuzzer = fuzz.Fuzzer(reader, tmp_path)
    assert fuzzer.outcome(reader.good) is None
    assert fuzzer.findings.refused == 0
    cut = {"VOC list": b"\n", "CSV": b"path\n"}.get(name, reader.good[: len(reader.good) // 2])
    assert fuzzer.outcome(cut) is None
    assert fuzzer.findings.refused == 1


@pytest.fixture
def broken(fuzz, tmp_path, monkeypatch):
    """A reader that falls over some contents."""

    def read(folder):
        content = (folder / "file").read_bytes()
        if b"a" in content:
            raise KeyError("a")
        if b"b" in content:
            time.sleep(20)
        if b"c" in content:
            raise InputError("no")
        raise InputError("Expected something else than this.")

    monkeypatch.setattr(fuzz, "LONGEST", 0.1)
    reader = replace(fuzz.readers()["images"], name="file", read=read)
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGALRM, signal.SIGPROF)}
    fuzz.listen()
    yield fuzz.Fuzzer(reader, tmp_path)
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def test_a_fault_is_anything_but_a_clear_error_in_time(broken):
    said = [broken.outcome(content) for content in (b"a", b"b", b"c", b"d")]
    assert said[0].startswith("KeyError in test_fuzz_readers.py, line ")
    assert said[1:] == ["over 0 s", "an error that says nothing: no", None]


def test_a_fault_is_kept_once_and_small(broken):
    for number in range(2):
        broken.batch(number)
    assert b"a" in next(content for what, content in broken.findings.faults.items() if what.startswith("KeyError"))
    assert len([what for what in broken.findings.faults if what.startswith("KeyError")]) == 1


def test_what_is_imported_and_built_the_first_time_is_no_part_of_a_case(fuzz, broken):
    """The first parse of a config imports what takes longer than a case may."""
    seen = []

    def read(folder):
        seen.append((folder / "file").read_bytes())
        if len(seen) == 1:
            time.sleep(0.3)

    reader = replace(broken.reader, read=read)
    found = fuzz.fuzz(reader, 1e-9, 0)
    assert seen[0] == reader.good
    assert found.cases == len(seen) - 1
    assert not found.faults

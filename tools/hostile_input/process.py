"""A command in a child of this process, which has imported everything, under a limit of time and memory."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hostile_input.case import Case

LONGEST, LARGEST = 25.0, 2048.0
"""Seconds and MB that a wrong input may take."""
POLL = 0.02
"""Seconds between two looks at a child."""
OUTPUT, ERRORS, TEMPORARY = ".output", ".errors", ".temporary"
"""Files of what it prints, and a folder of what it keeps."""
LINE = "vrft_pl: "
"""How a line begins that says what is wrong."""


@dataclass(frozen=True)
class Outcome:
    """What came of a wrong input."""

    code: int
    """Exit code; below 0 the signal that ended it, as of what took too long or too much."""
    seconds: float
    megabytes: float
    """Most that the process held at once, with all that was imported."""
    said: str
    """Standard error."""
    left: tuple[str, ...]
    """Files and folders that stayed behind, beside the input's own."""

    @property
    def line(self) -> str:
        """The last line that says what is wrong, or else the last of all."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        ours = [line for line in lines if line.startswith(LINE)]
        return (ours or lines or [""])[-1]

    def faults(self, case: Case) -> list[str]:
        """What should not be."""
        wrong = {
            "traceback": "Traceback (most recent call last)" in self.said,
            f"{self.seconds:.0f} seconds": self.seconds > LONGEST,
            f"{self.megabytes:.0f} MB": self.megabytes > LARGEST,
            f"exit code {self.code} in place of {case.code}": self.code != case.code,
            "no reason": self.line.startswith((f"{LINE}Expected a <class ", f"{LINE}a dict with")),
            "no line": self.code != 0 and not self.line.startswith(LINE),
            f"left {', '.join(self.left[:3])}": self.code != 0 and bool(self.left) and not case.leaves,
        }
        return [fault for fault, there in wrong.items() if there]


def run(case: Case, folder: Path) -> Outcome:
    """Make an input in an empty folder and carry out its command there.

    It takes a tenth of the time of a process that imports everything first.
    """
    args = case.make(folder)
    (folder / TEMPORARY).mkdir()
    before = files(folder)
    started = time.monotonic()
    if (child := os.fork()) == 0:
        carry_out(case, args, folder)
    code, megabytes = watched(child, started)
    seconds = time.monotonic() - started
    said = (folder / ERRORS).read_bytes().decode(errors="replace")
    for path, name in {str(folder.resolve()): ".", sys.prefix: "PYTHON"}.items():
        said = said.replace(path, name)
    return Outcome(code, seconds, megabytes, said, tuple(sorted(files(folder) - before - {OUTPUT, ERRORS})))


def carry_out(case: Case, args: Sequence[str], folder: Path) -> None:
    """Be the command; does not return."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.update({"TMPDIR": str(folder / TEMPORARY), **case.env})
        tempfile.tempdir = None
        for number, name in enumerate(("/dev/null", OUTPUT, ERRORS)):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115  # kept
        sys.argv = ["vrft_pl", *args]
        for number in case.closed:
            os.close(number)
        if case.fresh:
            os.execv(sys.executable, [sys.executable, "-m", "vrft_pl", *args])
        from vrft_pl.__main__ import program

        program()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def watched(child: int, started: float) -> tuple[int, float]:
    """Wait for a child, and end it where it takes too long or too much. Returns its exit code and its MB."""
    largest = 0.0
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            end_session(child)
            return os.waitstatus_to_exitcode(status), max(largest, usage.ru_maxrss / 1024)
        largest = max(largest, resident(child))
        if largest > LARGEST or time.monotonic() - started > LONGEST + 5:
            end_session(child)
        time.sleep(POLL)


def end_session(child: int) -> None:
    """End what a child has started, and itself."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def resident(pid: int) -> float:
    """MB that a process holds; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0


def files(folder: Path) -> set[str]:
    """Names of what lies in a folder."""
    return {entry.name for entry in folder.iterdir()}

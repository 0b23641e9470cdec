"""One life of a run, in a child of a process that has imported everything already."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

from chaos_runs.case import ROOT, Case
from chaos_runs.moments import Kill, Watched

LONGEST = 900
"""Seconds of a run."""
POLL = 0.02
"""Seconds between two looks at a child."""


def live(case: Case, folder: Path, kill: Kill | None, note: Path) -> int:
    """Let a run begin, or go on. Returns its exit status, -9 for killed."""
    note.unlink(missing_ok=True)
    if (child := os.fork()) == 0:
        carry_out(case, folder, kill, note)
    return waited(child)


def carry_out(case: Case, folder: Path, kill: Kill | None, note: Path) -> None:
    """Be the run; does not return."""
    code = 1
    try:
        os.setsid()
        log = os.open(note.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = [str(ROOT / "vrft_pl/__main__.py"), *case.args(folder)]  # Lightning starts the others so
        watched = Watched(kill, note)
        watched.install()
        from vrft_pl.__main__ import main

        main(case.args(folder))
        if kill is None:
            watched.write()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # a child that must not go on with the parent's work
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def waited(child: int) -> int:
    """Exit status of a child; it is killed when it takes too long."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"Expected a run to end within {LONGEST} s.")


def tail(note: Path) -> str:
    """The last lines that a run printed."""
    return " | ".join(note.with_suffix(".log").read_text(errors="replace").splitlines()[-3:])

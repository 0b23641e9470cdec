"""One life of a run, in a child of a process that has imported everything already."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from chaos_runs.case import Case
from chaos_runs.moments import Kill, Watched

LONGEST = 600
"""Seconds of a run."""
POLL = 0.02
"""Seconds between two looks at a child."""


def live(case: Case, folder: Path, kill: Kill | None, note: Path) -> int:
    """Let a run begin, or go on. Returns its exit status, -9 for killed."""
    note.unlink(missing_ok=True)
    if (child := os.fork()) == 0:
        carry_out(case, folder, kill, note)
    try:
        return waited(child)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # workers that read data, which it ends without asking


def carry_out(case: Case, folder: Path, kill: Kill | None, note: Path) -> None:
    """Be the first process of the run, which the others stand beside; does not return."""
    code = 1
    try:
        os.setsid()
        log = os.open(note.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        rank, others = ranks(case.processes)
        watched = Watched(None if rank else kill, note)
        watched.install()
        from vrft_pl.__main__ import main

        main(case.args(folder))
        if kill is None and not rank:
            watched.write()
        code = max((os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) for other in others), default=0)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # a child that must not go on with the parent's work
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def ranks(processes: int) -> tuple[int, list[int]]:
    """Become the processes of a run, as a launcher starts them. Returns the rank, and to the first who the others are.

    Lightning's own launcher has each of the others import everything anew.
    """
    if processes == 1:
        return 0, []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "NODE_RANK": "0"}
    os.environ |= {**place, "WORLD_SIZE": str(processes), "LOCAL_RANK": "0"}
    others = []
    for rank in range(1, processes):
        if (child := os.fork()) == 0:
            os.environ["LOCAL_RANK"] = str(rank)
            return rank, []
        others.append(child)
    return 0, others


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

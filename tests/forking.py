"""Runs programs in processes forked from one that has imported what takes seconds, and has computed nothing.

Most of a short program's time is the imports of torch, Lightning and transformers; each worker of pytest pays for them
once here. This file is that process as well: it reads a request in a line, and answers with exit statuses.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).parent
IMPORTED = ("vrft_pl.commands.fit", "vrft_pl.commands.ablate", "transformers", "training", "evaluation", "sharding")
GRACE = 10
"""Seconds that the other ranks have when one has failed."""


@dataclass(frozen=True)
class Finished:
    """What became of a program; of several ranks, the worst exit status and the output of all."""

    returncode: int
    stdout: str
    stderr: str


def forked(
    *args: object, ranks: int = 1, timeout: float = 600, kill_when: Callable[[], bool] | None = None
) -> Finished:
    """Run ``python ARGS``: a script, or ``-m`` and a module.

    Args:
        args: As behind ``python``.
        ranks: Processes, which Lightning takes for those of one node.
        timeout: Seconds after which all are killed.
        kill_when: Kill it as soon as this holds.
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with TemporaryDirectory() as logs, socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        number = port.getsockname()[1]
        port.close()
        request = {"args": [str(arg) for arg in args], "ranks": ranks, "timeout": timeout, "logs": logs, "port": number}
        server.stdin.write(json.dumps(request | {"env": dict(os.environ), "cwd": os.getcwd()}) + "\n")
        server.stdin.flush()
        (first, *_), end = json.loads(server.stdout.readline()), time.monotonic() + timeout
        while kill_when is not None and time.monotonic() < end:
            if kill_when():
                os.killpg(first, signal.SIGKILL)
                break
            time.sleep(0.01)
        statuses = json.loads(server.stdout.readline())
        said = {name: "".join((Path(logs) / f"{name}{i}").read_text() for i in range(ranks)) for name in ("out", "err")}
    return Finished(max(statuses, key=abs), said["out"], said["err"])


@cache
def _server() -> subprocess.Popen[str]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    server = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    atexit.register(server.kill)
    return server


def serve() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gc.disable()
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        request = json.loads(line)
        children = [fork(request, rank) for rank in range(request["ranks"])]
        print(json.dumps(children), file=answers, flush=True)
        print(json.dumps(wait(children, request["timeout"])), file=answers, flush=True)


def fork(request: dict, rank: int) -> int:
    """Begin one rank; returns its process."""
    if child := os.fork():
        return child
    code = 1
    try:
        os.setsid()
        become(request, rank)
        module = request["args"][0] == "-m"
        sys.argv = request["args"][module:]
        run = runpy.run_module if module else runpy.run_path
        run(sys.argv[0], run_name="__main__", **({"alter_sys": True} if module else {}))
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:  # a child that must not go on with the server's work
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def become(request: dict, rank: int) -> None:
    """Take the place of a process that was started by itself."""
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{request['logs']}/{name}{rank}", os.O_WRONLY | os.O_CREAT), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    if request["args"][0] != "-m":
        sys.path.insert(0, str(Path(request["args"][0]).parent))
    if request["ranks"] == 1:
        return
    from lightning.pytorch.utilities import rank_zero_only

    rank_zero_only.rank = rank
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(request["port"]))


def wait(children: list[int], timeout: float) -> list[int]:
    """Exit statuses; when a rank fails or time is up, the others are killed."""
    statuses: dict[int, int] = {}
    end = time.monotonic() + timeout
    while len(statuses) < len(children):
        for child in children:
            if child not in statuses and (done := os.waitpid(child, os.WNOHANG))[0]:
                statuses[child] = os.waitstatus_to_exitcode(done[1])
                if statuses[child]:
                    end = min(end, time.monotonic() + GRACE)
        if time.monotonic() > end:
            for child in set(children) - set(statuses):
                os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    return [statuses[child] for child in children]


if __name__ == "__main__":
    serve()

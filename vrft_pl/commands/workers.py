"""Processes of this machine that share the cells of an ablation, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import torch

from vrft_pl.commands.errors import fail, last_line

WORKERS = "workers"
"""Folder of what workers print."""


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End in one line by SIGTERM as by Ctrl+C, and what this process started with it."""

    def ended(signum: int, frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, ended)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        code = stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT
        if code not in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            raise
        fail(f"Ended by {signal.Signals(int(code) - 128).name}. The same command goes on.", int(code))
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def work_together(command: Sequence[str], workers: int, logs: Path) -> dict[int, str]:
    """Start workers that share the cells, a device or a share of the cores each, and wait for them.

    Args:
        command: What each carries out.
        workers: How many.
        logs: Folder of what they print.

    Returns:
        Of each worker that died, its number and the last line that it printed.
    """
    devices = torch.cuda.device_count()
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    logs.mkdir(parents=True, exist_ok=True)
    processes = []
    for i in range(workers):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        if devices > 1:
            environment["CUDA_VISIBLE_DEVICES"] = str(i % devices)
        with (logs / f"{i}.log").open("wb") as log:
            worker = subprocess.Popen([*command, "--workers", "1"], env=environment, stdout=log, stderr=log)
        processes.append(worker)
    try:
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    told = {i: (logs / f"{i}.log").read_text(encoding="utf-8", errors="replace") for i in range(workers)}
    return {i: last_line(told[i]) for i, process in enumerate(processes) if process.returncode}

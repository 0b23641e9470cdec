"""The process that compares mathematics, and who talks to it."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

from vrft_pl.rewards.parsing import Unread

_START_SECONDS = 300.0


class MathWorker:
    """Owns the process that compares; starts it when it is first needed and again after it died.

    One question at a time, from any thread. A process that was forked starts a worker of its own.
    """

    def __init__(self) -> None:
        self._forget()
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Own nothing: another process may hold the lock, and owns the worker."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def ask(self, truth: str, answer: str, time_limit: float, tolerance: float | None = None) -> bool | Unread:
        """Compare two expressions under a limit of CPU seconds: equal, or two numbers that differ by a tolerance."""
        question = json.dumps([truth, answer, time_limit, tolerance]) + "\n"
        with self._lock:
            verdict = self._reply(question, time_limit)
            if verdict is None:  # it was killed, which says nothing of the question
                verdict = self._reply(question, time_limit)
        if verdict in (None, "timeout"):
            return Unread.TIMEOUT
        return Unread.MALFORMED if verdict == "malformed" else verdict == "right"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _reply(self, question: str, time_limit: float) -> str | None:
        """What the process says; ``timeout`` if it hangs, nothing if it died."""
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(question)
            process.stdin.flush()
            # far more than the limit, for work that no signal interrupts and for machines that are busy
            verdict = self._lines.get(timeout=5 + 50 * time_limit)
        except queue.Empty:
            self.stop()
            return "timeout"
        except OSError:
            verdict = ""
        if not verdict:
            self.stop()
        return verdict or None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None:
            return self._process
        command = [sys.executable, "-P", str(Path(__file__).with_name("math_worker.py"))]
        self._lines = queue.Queue()
        # in a session of its own, so that an interrupt from the keyboard ends the run and not the comparison
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        threading.Thread(target=_drain, args=(self._process, self._lines), daemon=True).start()
        try:
            ready = self._lines.get(timeout=_START_SECONDS)
        except queue.Empty:
            ready = ""
        if ready != "ready":
            self.stop()
            raise RuntimeError(f"MathMatch could not start math-verify. Try `{' '.join(command)}` by hand.")
        return self._process


def _drain(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line.strip())
    lines.put("")  # it ended


WORKER = MathWorker()

"""What grading costs, whatever else the machine does."""

from __future__ import annotations

import os
import time
from pathlib import Path


def cpu_seconds() -> float:
    """CPU time of this process and of the one that it started to compare mathematics."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return time.process_time() + sum(map(_of_child, children))


def _of_child(number: str) -> float:
    """Of its main thread, which does all the work; 0 where it has just ended."""
    try:
        return int(Path(f"/proc/{number}/schedstat").read_text().split()[0]) * 1e-9
    except OSError:
        return 0.0

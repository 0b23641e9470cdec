"""How long something takes, on machines that do other things as well."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


def seconds(function: Callable[..., Any], *args: Any, enough: float = 0.0) -> float:
    """Return the best of five runs, or the first that is good enough: a collection of garbage takes 200 ms.

    Measuring coverage, which doubles the time, pauses meanwhile.
    """
    best, tracer = float("inf"), sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(5):
            start = time.process_time()
            function(*args)
            best = min(best, time.process_time() - start)
            if best < enough:
                break
    finally:
        sys.settrace(tracer)
    return best

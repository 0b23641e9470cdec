"""Standard output that may have nobody to read it any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def say(text: str) -> bool:
    """Print a text at once; whether that went well.

    Whoever read along may have gone (``| head``), or the disk of a log be full: no reason to end a run. What is printed
    from then on is lost, also by Python when it ends, which would make it the exit code.
    """
    try:
        print(text, flush=True)
    except ValueError:  # it is closed
        return False
    except OSError:
        with suppress(OSError):  # what stands for it in a notebook is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True

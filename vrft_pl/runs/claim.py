"""One process at a time writes into a folder."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from vrft_pl.types import InputError

SECONDS = 10.0
"""How long to wait for another process, which may be about to end."""
POLL = 0.2
"""Seconds between two tries."""


class Claim:
    """Keeps others out of a folder until it is released, or the process ends, however it does.

    A file system that has no locks lets everybody in. Children that the process forks have no part in it: workers that
    read data may outlive one that was killed.

    Args:
        folder: The folder, which is made.
        seconds: How long to wait for another process.

    Raises:
        InputError: If another process has claimed it.
    """

    def __init__(self, folder: Path, seconds: float = SECONDS) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
            self.created = True
        except FileExistsError:
            self.created = False
        """Whether the folder is new: nobody else has ever written into it."""
        self.handle: int | None = os.open(folder, os.O_RDONLY)
        os.register_at_fork(after_in_child=self.release)
        end = time.monotonic() + seconds
        while not self._locked():
            if time.monotonic() > end:
                self.release()
                raise InputError(
                    f"Expected nobody else to write into {folder}, but another process does. Wait until it has ended, "
                    "or name another folder with `--run.folder`."
                )
            time.sleep(POLL)

    def _locked(self) -> bool:
        assert self.handle is not None
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others in; in a child it lets go of nothing but its own copy."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

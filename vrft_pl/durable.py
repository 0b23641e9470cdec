"""What has been written is there whole, and lasts through a power cut."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""How the temporary name of a file ends that is being written; the name begins with a dot."""


def sync_file(path: Path) -> None:
    """Make the content of a file last."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last; a file system that can't is left alone."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Make all files of a folder last, and their names."""
    for path in folder.rglob("*"):
        (sync_folder if path.is_dir() else sync_file)(path)
    sync_folder(folder)


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """A temporary name beside a path, for a file that is synced and renamed when all went well.

    What stood at the path stays until then, and stays for good when writing fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}{PARTIAL}")
    try:
        yield scratch
        sync_file(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def new_folder(folder: Path, lasting: bool = True) -> Iterator[Path]:
    """A folder to write into, which appears whole or not at all; an older one of that name is replaced.

    It is written beside its final name, and what a process that was killed has left there goes. All files get the
    rights that new ones have here: safetensors makes those of weights for their owner alone.

    Args:
        folder: The folder.
        lasting: Keep it through a power cut too.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "replaced"))
    for rest in (new, old):
        shutil.rmtree(rest, ignore_errors=True)
    new.mkdir()
    rights = stat.S_IMODE(new.stat().st_mode) & 0o666
    try:
        yield new
        for path in new.iterdir():
            path.chmod(rights)
        if lasting:
            sync_tree(new)
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
        if lasting:
            sync_folder(folder.parent)
    finally:
        for rest in (new, old):
            shutil.rmtree(rest, ignore_errors=True)

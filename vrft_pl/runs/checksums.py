"""Sizes and checksums beside what is written, so that damage is seen before anything is loaded."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from vrft_pl.runs.files import read_json, write_json
from vrft_pl.types import InputError

MANIFEST = ".manifest.json"
"""How the name of the manifest of a checkpoint goes on; it lies beside the checkpoint."""
WRITTEN = "written"
"""Key of a manifest: the time in nanoseconds."""


class Hashing:
    """A file for a library to write into, front to back, that knows what was written.

    Args:
        file: Where it goes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        """Write bytes."""
        self.digest.update(data)
        self.size += memoryview(data).nbytes
        return self.file.write(data)

    def flush(self) -> None:
        """Hand on what is buffered."""
        self.file.flush()

    @property
    def entry(self) -> dict[str, Any]:
        """Size and checksum, as the manifest holds them."""
        return {"bytes": self.size, "sha256": self.digest.hexdigest()}


def manifest_of(path: Path) -> Path:
    """Where the manifest of a checkpoint, a file or a folder, lies."""
    return path.with_name(f"{path.name}{MANIFEST}")


def seal(path: Path, entries: dict[str, dict[str, Any]] | None = None) -> None:
    """Write the manifest of a checkpoint that is whole.

    Args:
        path: The checkpoint, a file or the folder of a sharded strategy.
        entries: Size and checksum of each file by its name below the folder that ``path`` is in. Read from the files
            unless given.
    """
    written = entries or {str(file.relative_to(path.parent)): entry_of(file) for file in files_of(path)}
    write_json(manifest_of(path), {"files": written, WRITTEN: not_before_others(path, path.stat().st_mtime_ns)})


def written_at(path: Path) -> int:
    """When a checkpoint was written, in nanoseconds; its manifest knows it after a copy too, which is of now."""
    try:
        return int(read_json(manifest_of(path))[WRITTEN])
    except (InputError, KeyError, TypeError, ValueError, OverflowError):
        return path.lstat().st_mtime_ns


def not_before_others(path: Path, time_ns: int) -> int:
    """A time for a checkpoint that comes after those beside it, also where the clock has been set back since theirs."""
    last = max((written_at(other) for other in path.parent.glob(f"*{path.suffix}") if other != path), default=0)
    return time_ns if time_ns >= last else last + 1


def renew(path: Path) -> None:
    """Count a checkpoint as the one written last: a run goes on from it, and its records are cut back to it."""
    newest = not_before_others(path, time.time_ns())
    os.utime(path, ns=(newest, newest))
    if manifest_of(path).exists():
        write_json(manifest_of(path), {**read_json(manifest_of(path)), WRITTEN: newest})


def files_of(path: Path) -> Iterable[Path]:
    """The files of a checkpoint, in the order of their names."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def entry_of(file: Path) -> dict[str, Any]:
    """Size and checksum of a file."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint; ``None`` where nothing is.

    One without a manifest, of an earlier version or of a run that was killed before it was written, is judged by the
    checksums that torch keeps in the file.
    """
    try:
        if not manifest_of(path).exists():
            return torn(path)
        written = read_json(manifest_of(path))["files"]
        if not any((path.parent / name).is_relative_to(path) for name in written):
            return f"{manifest_of(path).name} says nothing of it"
        return next(filter(None, (differs(path.parent / name, entry) for name, entry in written.items())), None)
    except (InputError, KeyError, TypeError, AttributeError, OSError, ValueError) as error:
        return f"it can't be read ({type(error).__name__}: {error})"


def differs(file: Path, entry: dict[str, Any]) -> str | None:
    """How a file differs from what was written."""
    if not file.is_file():
        return f"{file.name} is missing"
    if (size := file.stat().st_size) != entry["bytes"]:
        return f"{file.name} has {size:,} bytes of {entry['bytes']:,}"
    if entry_of(file)["sha256"] != entry["sha256"]:
        return f"{file.name} is not what was written: its checksum differs"
    return None


def torn(path: Path) -> str | None:
    """What is wrong with a checkpoint without a manifest."""
    if path.is_dir():
        return f"it has no {manifest_of(path).name}, which is written last"
    if not path.is_file():
        return "there is no such file"
    if not zipfile.is_zipfile(path):
        return "it is no file of `torch.save`, or cut off"
    try:
        with zipfile.ZipFile(path) as file:
            bad = file.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        return f"it can't be unpacked ({error})"
    return None if bad is None else f"{bad} in it is not what was written: its checksum differs"

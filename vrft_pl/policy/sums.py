"""Checksums of exported weights, which ``sha256sum --check SHA256SUMS`` reads as well."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from vrft_pl.types import InputError

SUMS = "SHA256SUMS"
"""File of an exported folder; a line holds the checksum of a file and its name."""
WEIGHTS = "*.safetensors"
"""Files that have one: whoever edits the others does so on purpose."""


def write_sums(folder: Path) -> None:
    """Write the checksums of the weights in a folder."""
    lines = [f"{checksum(path)}  {path.name}\n" for path in sorted(folder.glob(WEIGHTS))]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> None:
    """Compare the weights in a folder with their checksums, where it has some.

    Raises:
        InputError: If one is missing or differs.
    """
    path = folder / SUMS
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        expected, _, name = line.partition("  ")
        weights = folder / name
        wrong = "it is missing" if not weights.is_file() else "" if checksum(weights) == expected else "it differs"
        if wrong:
            raise InputError(
                f"Expected {weights} to be what {path} says, but {wrong}: it was damaged or changed. Copy the folder "
                f"anew, or remove {SUMS} where the change is meant."
            )


def checksum(path: Path) -> str:
    """SHA-256 of a file, read once in a process unless it changes."""
    state = path.stat()
    return _checksum(path.resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _checksum(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from vrft_pl.durable import whole_path
from vrft_pl.runs.limits import check
from vrft_pl.types import InputError

HALVES = "backslashreplace"
"""How half of an emoji, which UTF-8 can't hold, is written: as JSON escapes it."""
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
"""What may stand where a file should."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside its final name, on the same file system; it is synced and renamed when all went well.

    What stood under the name stays until then, and stays for good when writing fails.
    """
    with whole_path(path) as scratch, scratch.open("wb") as file:
        yield file


def write_json(path: Path, value: object) -> None:
    """Write JSON for people to read, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with whole_file(path) as file:
        file.write(text.encode(errors=HALVES))


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: If there is no such file, or it holds something else.
    """
    try:
        return json.loads(content(path))
    except (OSError, ValueError, RecursionError) as error:  # the last of brackets within brackets, by the thousand
        raise InputError(f"Expected JSON in {path}, but it can't be read: {error}.") from error


def read_yaml(path: Path) -> Any:
    """Read YAML.

    Raises:
        InputError: If there is no such file, or it holds something else.
    """
    try:
        text = content(path).decode()
        check(text)
        return yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"Expected YAML in {path}, but it can't be read: {error}.") from error


def refuse_other(path: Path) -> None:
    """Refuse what stands at a path and is no file that can be read.

    Raises:
        InputError: If it is a folder, a pipe, a link that leads nowhere or the like, or may not be read.
    """
    if wrong := not_a_file(path):
        raise InputError(f"Expected a file at {path}, but it is {wrong}. Move it away, or name another folder.")


def not_a_file(path: Path) -> str | None:
    """What stands at a path in place of a file; ``None`` where a file does, or nothing."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "a link that leads nowhere" if path.is_symlink() else None
    except OSError as error:
        return f"out of reach ({error.strerror})"
    if not stat.S_ISREG(mode):
        return _KINDS.get(stat.S_IFMT(mode), "a device")
    return None if os.access(path, os.R_OK) else "one that may not be read"


def content(path: Path) -> bytes:
    """What a file holds; a pipe, which never ends, is refused.

    Raises:
        OSError: If it can't be read.
    """
    if wrong := not_a_file(path):
        raise OSError(f"it is {wrong}")
    return path.read_bytes()

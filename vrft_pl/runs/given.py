"""What W&B has been given of a run by processes that have ended."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import HistoryRecord  # type: ignore[attr-defined]  # made when imported

STEP = "trainer/global_step"
"""Name under which Lightning's logger adds the step to what it logs."""
BLOCK = 32_768
"""Bytes of a block of LevelDB's log, which no part of a record crosses."""
HEADER = struct.Struct("<IHB")
"""Checksum, length and kind of a part of a record."""
OF_FILE = 7
"""Bytes of W&B's own header at the front of a file."""
FIRST, LAST = {1, 2}, {1, 4}
"""Kinds of parts that a record begins and ends with."""


Rows = tuple[frozenset[str], ...]
"""Names of what was logged at a step, call by call: one name may have been logged more than once."""


def given(folder: Path, run_id: str, sent: float = inf) -> dict[int, Rows]:
    """Names of what has been logged, by step, out of the files that W&B keeps of every process of a run.

    Args:
        folder: ``wandb`` of the run's folder.
        run_id: How W&B knows the run.
        sent: Records that the server has of processes that were online; it never gets those behind them, whose process
            was ended before. All by default.
    """
    found: dict[int, Rows] = {}
    shared: dict[frozenset[str], frozenset[str]] = {}  # most steps log the same names
    for path in sorted(folder.glob(f"*run-*-{run_id}/run-{run_id}.wandb")):
        most = inf if path.parent.name.startswith("offline-") else sent
        for step, names in logged(path, most):
            found[step] = (*found.get(step, ()), shared.setdefault(names, names))
    return found


def without(rows: Rows, names: frozenset[str]) -> tuple[Rows, frozenset[str]]:
    """What is left of rows when each of the names is taken from the first that holds it, and the names that none holds.

    Example:
        >>> without((frozenset({"loss"}), frozenset({"loss"})), frozenset({"loss", "reward"}))
        ((frozenset(), frozenset({'loss'})), frozenset({'reward'}))
    """
    left = []
    for row in rows:
        left.append(row - names)
        names -= row
    return tuple(left), names


def logged(path: Path, most: float = inf) -> Iterator[tuple[int, frozenset[str]]]:
    """Step and names of each call that logged at a step.

    Args:
        path: A file of W&B.
        most: Calls that count, by W&B's own numbers from 0.
    """
    for history in histories(path):
        row = {(*item.nested_key, item.key)[0]: item.value_json for item in history.item}  # a table's key has parts
        if STEP in row and history.step.num < most:
            yield int(json.loads(row[STEP])), frozenset(row)


def histories(path: Path) -> Iterator[HistoryRecord]:
    """What was logged, call by call, up to where a process that was killed has cut its file off."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # made when imported

    for data in records(path.read_bytes()):
        try:
            record = Record.FromString(data)
        except DecodeError:
            return
        if record.WhichOneof("record_type") == "history":
            yield record.history


def records(data: bytes) -> Iterator[bytes]:
    """The records of a file of W&B: a log of LevelDB behind a header.

    Example:
        >>> list(records(b":W&B" + bytes(3) + HEADER.pack(0, 3, 1) + b"one" + HEADER.pack(0, 3, 1) + b"tw"))
        [b'one']
    """
    at, record = OF_FILE, b""
    while at + HEADER.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:
            at += left
            continue
        _, length, kind = HEADER.unpack_from(data, at)
        part = data[at + HEADER.size : at + HEADER.size + length]
        if len(part) < length or kind == 0:
            return
        at += HEADER.size + length
        record = part if kind in FIRST else record + part
        if kind in LAST:
            yield record

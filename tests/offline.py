"""What W&B wrote of an offline run."""

import json
import struct
from collections import Counter

from wandb.proto import wandb_internal_pb2

BLOCK = 32 * 1024
"""Bytes of a block, which no header of a piece crosses."""
WHOLE, LAST = 1, 4
"""Kinds of piece that end a record; others are gone on with by the next one."""


def records(folder):
    """Read the records of the only offline run below a folder."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    data, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (WHOLE, LAST):
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


def run_of(folder):
    """The run as it was started, its hyper-parameters, and how often each number and table was logged."""
    run, config, logged = None, {}, Counter()
    for record in records(folder):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = run or record.run
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "config":
            config |= {item.key: json.loads(item.value_json) for item in record.config.update}
        elif kind == "history":
            logged.update({item.nested_key[0] if item.nested_key else item.key for item in record.history.item})
    return run, config, logged


def tables(folder, name):
    """The tables of a name, in the order in which they were logged."""
    paths = folder.glob(f"wandb/offline-run-*/files/media/table/{name}_*.table.json")
    return [json.loads(path.read_text()) for path in sorted(paths, key=lambda path: int(path.name.split("_")[1]))]

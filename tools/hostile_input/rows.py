"""Rows of JSON, JSON lines, ShareGPT, tables and Parquet that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_input.case import Case, Cases, Make, reads
from hostile_input.pictures import QUESTION, counting, png, reason

DEEP = "[" * 100_000
TEXTS: dict[str, str | bytes] = {
    "empty": "",
    "blanks": " \n ",
    "no JSON": "hello",
    "half of it": '[{"problem": "a"',
    "an object": "{}",
    "a number": "7",
    "null": "null",
    "an empty list": "[]",
    "a list of numbers": "[1, 2]",
    "a list of lists": "[[1]]",
    "100,000 levels": DEEP,
    "binary": bytes(range(256)),
    "UTF-16": json.dumps([QUESTION]).encode("utf-16"),
    "no UTF-8": b'[{"problem": "\xff"}]',
    "NaN as a row": "[NaN]",
    "a number of 5,000 digits": f'[{{"problem": "a", "answer": {"9" * 5000}}}]',
}
"""A file of JSON, by what it holds."""
VALUES: dict[str, tuple[Any, ...]] = {
    "problem": (None, "", "  ", "<image>", 7, [], {}, "\ud800", "Where?<|im_end|>", "word " * 15_044),
    "answer": (None, "", "many", [], {}, 1e400, "nan", True, "1" * 5000, "\ud800", "<answer>1"),
    "cot": (7, [], "\ud800"),
    "system": (7, "\ud800", "<|im_start|>", "word " * 15_044),
    "tags": (7, "a", [7], ["\ud800"]),
    "options": (7, "a", [7]),
}
"""A key of a row, and what it should not hold."""


def text_of(content: str | bytes, name: str) -> Make:
    """A file of rows that holds this."""
    data = content if isinstance(content, bytes) else content.encode()
    return reads(counting(reason(name)), lambda folder: (folder / name).write_bytes(data))


def row_of(source: str = "vrft_pl.data.ReasonJSON", without: str | None = None, **changes: Any) -> Make:
    """A good row and a bad one."""
    bad = {key: value for key, value in {**QUESTION, **changes}.items() if key != without}
    section = {"class_path": source, "init_args": {"path": "rows.json"}}
    return reads(counting(section), lambda folder: (folder / "rows.json").write_text(json.dumps([QUESTION, bad])))


def said(*turns: tuple[str, str], **others: Any) -> Make:
    """A conversation."""
    row = {"conversations": [{"from": who, "value": text} for who, text in turns], **others}
    section = {"class_path": "vrft_pl.data.ShareGPT", "init_args": {"path": "rows.json"}}
    return reads(counting(section), lambda folder: (folder / "rows.json").write_text(json.dumps([row])))


def table_of(content: str | bytes, name: str = "table.csv", **init_args: Any) -> Make:
    """A table of paths and labels."""
    data = content if isinstance(content, bytes) else content.encode()
    source = {"class_path": "vrft_pl.data.LabelCSV", "init_args": {"path": name, **init_args}}
    task = {"class_path": "vrft_pl.data.Classification", "init_args": {"batch_size": 1, "train": source}}

    def write(folder: Path) -> None:
        (folder / "a.png").write_bytes(png())
        (folder / name).write_bytes(data)

    return reads(task, write)


def parquet_of(write: Callable[[Path], object], **init_args: Any) -> Make:
    """A Parquet file."""
    source = {"class_path": "vrft_pl.data.ParquetRows", "init_args": {"files": "rows.parquet", "image": None}}
    source["init_args"] |= init_args  # type: ignore[operator]  # a dict
    return reads(counting(source), lambda folder: write(folder / "rows.parquet"))


def stored(**columns: list[Any]) -> Callable[[Path], object]:
    """Writes columns as Parquet."""

    def write(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), path)

    return write


def cut(path: Path) -> None:
    """Write Parquet that ends too early."""
    stored(problem=["How many?"] * 99, answer=["1"] * 99)(path)
    path.write_bytes(path.read_bytes()[:-30])


def json_rows() -> Cases:
    """JSON, JSON lines and ShareGPT."""
    cases = {f"JSON/{name}": Case(text_of(content, "rows.json"), 1) for name, content in TEXTS.items()}
    cases |= {
        f"JSON lines/{name}": Case(text_of(content, "rows.jsonl"), 1)
        for name, content in TEXTS.items()
        if name != "an object"
    }
    cases["JSON/a file that is missing"] = Case(reads(counting(reason("missing.json")), lambda _: None), 1)
    cases["JSON/a folder"] = Case(reads(counting(reason(".")), lambda _: None), 1)
    cases["JSON/an endless device"] = Case(reads(counting(reason("/dev/zero")), lambda _: None), 1)
    cases |= {f"row/without {key}": Case(row_of(without=key), 1) for key in ("problem", "answer")}
    cases |= {
        f"row/{key} {str(value)[:30]}": Case(row_of(**{key: value}), 1)
        for key, values in VALUES.items()
        for value in values
    }
    for name, problem in {"a field": "Where? {}", "a wide field": "{problem:1000000000}"}.items():
        cases[f"row/braces in a question, {name}"] = Case(row_of(problem=problem), 0)
    asked, answered = ("human", "How many?"), ("gpt", "1")
    conversations: dict[str, Make] = {
        "no turns": said(),
        "a question alone": said(asked),
        "an answer first": said(answered, asked),
        "two questions": said(asked, answered, asked, answered),
        "an unknown role": said(("robot", "How many?"), answered),
        "a picture without a file": said(("human", "<image> How many?"), answered),
        "a file without a marker": said(asked, answered, images=["a.png"]),
        "two answers": said(asked, ("gpt", "<answer>1</answer><answer>2</answer>")),
        "an answer that does not end": said(asked, ("gpt", "<answer>1")),
        "an empty answer": said(asked, ("gpt", " ")),
        "videos": said(asked, answered, videos=["a.mp4"]),
        "turns that are none": row_of("vrft_pl.data.ShareGPT", conversations="hello"),
        "a turn that is a text": row_of("vrft_pl.data.ShareGPT", conversations=["hello"]),
    }
    return cases | {f"ShareGPT/{name}": Case(make, 1) for name, make in conversations.items()}


def tables() -> Cases:
    """CSV and Parquet."""
    csv: dict[str, Make] = {
        "empty": table_of(""),
        "a header alone": table_of("path,label\n"),
        "no such column": table_of("file,label\na.png,x\n"),
        "a column twice": table_of("path,label,label\na.png,x,y\n"),
        "a row too short": table_of("path,label\na.png\n"),
        "a row too long": table_of("path,label\na.png,x,y\n"),
        "a blank label": table_of("path,label\na.png, \n"),
        "an open quote": table_of('path,label\n"a.png,x\n'),
        "a cell of a megabyte": table_of(f"path,label\na.png,{'x' * 2**20}\n"),
        "no UTF-8": table_of(b"path,label\na.png,\xff\n"),
        "null characters": table_of("path,label\na\0.png,x\n"),
        "UTF-16": table_of("path,label\na.png,x\n".encode("utf-16")),
        "a picture that is missing": table_of("path,label\nb.png,x\n"),
        "a path that leads out": table_of("path,label\n../../../etc/hostname,x\n"),
        "binary": table_of(bytes(range(256))),
    }
    good = {"problem": ["How many?"], "answer": ["1"]}
    parquet: dict[str, Make] = {
        "a file that is missing": parquet_of(lambda _: None),
        "a text": parquet_of(lambda path: path.write_text("hello")),
        "empty": parquet_of(lambda path: path.write_bytes(b"")),
        "cut off": parquet_of(cut),
        "without rows": parquet_of(stored(problem=[], answer=[])),
        "without a column": parquet_of(stored(problem=["How many?"])),
        "a column of numbers as questions": parquet_of(stored(problem=[1], answer=["1"])),
        "null as a question": parquet_of(stored(problem=[None], answer=["1"])),
        "a picture that is none": parquet_of(stored(**good, image=[b"hello"]), image="image"),
        "a picture that leads out": parquet_of(stored(**good, image=["../../etc/hostname"]), image="image"),
        "an absolute picture": parquet_of(stored(**good, image=["/etc/hostname"]), image="image"),
        "no such file system": parquet_of(lambda _: None, files="nope://a.parquet"),
        "no files": parquet_of(lambda _: None, files=[]),
        "a list in place of an answer": parquet_of(stored(problem=["How many?"], answer=[[1, 2]])),
    }
    cases = {f"CSV/{name}": Case(make, 1) for name, make in csv.items()}
    return cases | {f"Parquet/{name}": Case(make, 2 if name == "no files" else 1) for name, make in parquet.items()}

"""The readers of files that others wrote: what each is given, and how all of it is read."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hostile_input.annotations import COCO, LISA, LVIS, VOC
from hostile_input.case import base
from hostile_input.pictures import QUESTION, png
from hypothesis import strategies as st
from PIL import Image

from fuzzing.content import Content, changed, edited, in_json, in_lines
from vrft_pl import data
from vrft_pl.data.images import FileImage
from vrft_pl.types import InputError

PNG = png(64, 64)
ROWS = [
    {**QUESTION, "image": "a.png", "cot": "I count.", "tags": ["easy"], "system": "Count."},
    {"problem": "How many?", "solution": "<answer>2</answer>"},
]
TURNS = [
    {"from": "human", "value": "<image>How many?"},
    {"from": "gpt", "value": "<think>One.</think><answer>1</answer>"},
]
SHARED = [{"id": "a", "image": "a.png", "conversations": TURNS}]
OPENAI = [{"messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "1"}]}]
TABLE = b'path,label\na.png,cat\n"a.png","dog, brown"\n'
COLUMNS: dict[str, list[Any]] = {
    "problem": ["How many?", "And now?"],
    "answer": ["1", "2"],
    "image": [PNG, PNG],
    "id": ["a", "b"],
}


@dataclass(frozen=True)
class Reader:
    """One of them."""

    content: Content
    """What its file holds."""
    name: str
    """Of the file."""
    read: Callable[[Path], None]
    """Reads all of it, in the folder."""
    good: bytes
    """What it may hold."""
    beside: Mapping[str, bytes] = field(default_factory=lambda: {"a.png": PNG})
    """Files that are right."""


def rows_of(task: type[data.VisionTask], source: Callable[[Path], data.Source]) -> Callable[[Path], None]:
    """Reads every row of a source with its picture, as the training of a task does."""

    def read(folder: Path) -> None:
        made = task(train=source(folder))
        made.setup("fit")
        for part in made.datasets("train").values():
            for i in range(min(len(part), 20)):  # type: ignore[arg-type]  # sized
                for image in part[i].images:
                    image.open()

    return read


def config(folder: Path) -> None:
    """Parse a config as ``vrft_pl fit`` does; an error of the arguments is an `InputError` here."""
    from vrft_pl.__main__ import main

    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main(["fit", "--config", str(folder / "config.yaml"), "--print_config"])
    except SystemExit as stop:
        if stop.code not in (0, None):
            lines = said.getvalue().strip().splitlines()
            if stop.code not in (1, 2) or not lines or not lines[-1].startswith("vrft_pl: "):
                raise AssertionError(f"exit code {stop.code} with {lines[-1:]}") from None
            raise InputError(lines[-1]) from None


def picture(folder: Path) -> None:
    """Read the size of a picture, and decode it."""
    image = FileImage(folder / "picture", "row 7", most_pixels=1_000_000)
    size = image.size()
    if image.open().size != size:
        raise AssertionError(f"the header says {size}, and what is decoded has {image.open().size}")


def encoded() -> list[bytes]:
    """A small picture in every format that is read."""
    image = Image.effect_mandelbrot((24, 16), (-2, -1, 1, 1), 20)
    files = []
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "TGA", "JPEG2000"):
        for mode in ("L", "RGB", "RGBA", "P"):
            buffer = BytesIO()
            with contextlib.suppress(OSError, ValueError, KeyError):  # a mode that the format has none of
                image.convert(mode).save(buffer, kind)
                files.append(buffer.getvalue())
    return files


def stored(columns: Mapping[str, Any]) -> bytes:
    """Columns as Parquet; those that Arrow can't hold as text."""
    buffer = BytesIO()
    try:
        table = pa.table({str(name): pa.array(values) for name, values in columns.items()})
        pq.write_table(table, buffer)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return b"PAR1"
    return buffer.getvalue()


def tables() -> Content:
    """Parquet of odd columns, and files that are damaged."""
    plain = {name: values for name, values in COLUMNS.items() if name != "image"}  # bytes have no place in JSON
    odd = changed([plain]).map(lambda columns: stored(columns) if isinstance(columns, dict) else b"")
    return odd | edited([stored(COLUMNS)])


def json_files(good: list[Any]) -> Content:
    """Odd values in the right form, and damaged files."""
    return changed(good).map(in_json) | edited([in_json(value) for value in good])


def voc(folder: Path) -> data.Source:
    """The folder of VOC that holds the annotation."""
    return data.VOCDetection(str(folder))


def readers() -> dict[str, Reader]:
    """All of them by name."""
    counting = data.Counting
    import vrft_pl.commands.fit  # noqa: F401  # before a limit of time could end the import

    in_voc = {"JPEGImages/a.png": PNG, "ImageSets/Main/train.txt": b"a\n"}
    lines = changed([ROWS]).map(in_lines) | edited([in_lines(ROWS)])
    quick = base(trainer__max_steps=2)
    texts = [yaml.safe_dump(quick).encode(), json.dumps(quick).encode(), b"a: &a {b: 1}\nc: *a\n"]
    configs = changed([quick]).map(in_json) | edited(texts)

    def rows(kind: Any, file: str, **kwargs: Any) -> Callable[[Path], data.Source]:
        return lambda folder: kind(str(folder / file), image_root=str(folder), **kwargs)

    found: dict[str, Reader] = {
        "JSON": Reader(
            json_files([ROWS]), "rows.json", rows_of(counting, rows(data.ReasonJSON, "rows.json")), in_json(ROWS)
        ),
        "JSONL": Reader(lines, "rows.jsonl", rows_of(counting, rows(data.ReasonJSON, "rows.jsonl")), in_lines(ROWS)),
        "ShareGPT": Reader(
            json_files([SHARED, OPENAI]),
            "rows.json",
            rows_of(counting, rows(data.ShareGPT, "rows.json")),
            in_json(SHARED),
        ),
        "COCO": Reader(
            json_files([COCO]),
            "coco.json",
            rows_of(data.Detection, rows(data.COCODetection, "coco.json")),
            in_json(COCO),
        ),
        "COCO singles": Reader(
            json_files([COCO]), "coco.json", rows_of(data.Grounding, rows(data.COCOSingles, "coco.json")), in_json(COCO)
        ),
        "LVIS": Reader(
            json_files([LVIS]),
            "lvis.json",
            rows_of(data.Detection, rows(data.LVISDetection, "lvis.json")),
            in_json(LVIS),
        ),
        "VOC": Reader(edited([VOC.encode()]), "Annotations/a.xml", rows_of(data.Detection, voc), VOC.encode(), in_voc),
        "VOC list": Reader(
            edited([b"a\n", b"a 1\nb -1\n"]),
            "ImageSets/Main/train.txt",
            rows_of(data.Detection, voc),
            b"a\n",
            {"JPEGImages/a.png": PNG, "Annotations/a.xml": VOC.encode()},
        ),
        "LISA": Reader(
            json_files([LISA]), "a.json", rows_of(data.Grounding, lambda folder: data.LISA(str(folder))), in_json(LISA)
        ),
        "CSV": Reader(
            edited([TABLE, TABLE.replace(b",", b";")]),
            "rows.csv",
            rows_of(data.Classification, rows(data.LabelCSV, "rows.csv")),
            TABLE,
        ),
        "Parquet": Reader(
            tables(),
            "rows.parquet",
            rows_of(counting, rows(data.ParquetRows, "rows.parquet", id="id")),
            stored(COLUMNS),
        ),
        "images": Reader(edited(encoded()), "picture", picture, PNG, {}),
        "configs": Reader(configs, "config.yaml", config, texts[0], {}),
    }
    return found


def bytes_of(reader: Reader) -> st.SearchStrategy[bytes]:
    """What the file of a reader holds; nothing that is too large to be drawn."""
    return reader.content.filter(lambda content: len(content) < 200_000)

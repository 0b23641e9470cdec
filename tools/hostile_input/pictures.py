"""Pictures that are none, or too much of one, and paths that lead elsewhere."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from hostile_input.case import Case, Cases, Make, reads

QUESTION = {"id": "q", "problem": "How many?", "answer": "1"}
"""A row but for its picture."""


def png(width: int = 8, height: int = 8) -> bytes:
    """A white picture."""
    buffer = BytesIO()
    Image.new("L", (width, height), 255).save(buffer, "PNG")
    return buffer.getvalue()


def claimed(width: int, height: int) -> bytes:
    """A PNG whose header says another size than its content has."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = png()
    return data[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def counting(source: Mapping[str, Any], **task: Any) -> dict[str, Any]:
    """The section of the data of a task that counts."""
    return {"class_path": "vrft_pl.data.Counting", "init_args": {"batch_size": 1, "train": dict(source), **task}}


def reason(path: str, **init_args: Any) -> dict[str, Any]:
    """A source of JSON rows."""
    return {"class_path": "vrft_pl.data.ReasonJSON", "init_args": {"path": path, **init_args}}


def pictured(write: Callable[[Path], object], image: Any = "a.png", **init_args: Any) -> Make:
    """A row with a picture.

    Args:
        write: Writes the picture into the folder of the pictures, which lies in another one.
        image: What the row says of it.
        **init_args: Of the source.
    """

    def files(folder: Path) -> None:
        root = folder / "pictures"
        root.mkdir()
        write(root)
        (folder / "rows.json").write_text(json.dumps([{**QUESTION, "image": image}]))

    return reads(counting(reason("rows.json", image_root="pictures", **init_args)), files)


CONTENT: dict[str, bytes] = {
    "an empty file": b"",
    "a text": b"hello",
    "half a PNG": png(64, 64)[:60],
    "a PNG with a wrong checksum": png()[:-20] + bytes(20),
    "a PNG of 0 pixels": claimed(0, 0),
    "a PNG that says 2^31 pixels a side": claimed(2**31 - 1, 2**31 - 1),
    "a PNG of 13,000 x 13,000": png(13_000, 13_000),
    "a PNG of 30,000 x 30,000": claimed(30_000, 30_000),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a GIF without frames": b"GIF89a" + bytes(7) + b";",
    "a TIFF that points nowhere": b"II*\0" + struct.pack("<I", 2**31),
    "a BMP cut off": b"BM" + bytes(20),
    "a picture 1 pixel high and 20,000 wide": png(20_000, 1),
}
"""Of a file, by what it is."""


def nothing(_: Path) -> None:
    """Write nothing."""


def holding(data: bytes) -> Callable[[Path], object]:
    """Writes a picture file."""
    return lambda root: (root / "a.png").write_bytes(data)


def outside(folder: Path) -> None:
    """Write a picture beside the folder of the pictures."""
    (folder.parent / "a.png").write_bytes(png())


def linked(folder: Path) -> None:
    """Link to a picture beside the folder of the pictures."""
    outside(folder)
    (folder / "a.png").symlink_to(folder.parent / "a.png")


def around(folder: Path) -> None:
    """Link a name to itself."""
    (folder / "a.png").symlink_to("a.png")


def unreadable(folder: Path) -> None:
    """Write a picture that nobody may read."""
    (folder / "a.png").write_bytes(png())
    (folder / "a.png").chmod(0)


def pictures() -> Cases:
    """A case each."""
    cases = {f"picture/{name}": Case(pictured(holding(data)), 1) for name, data in CONTENT.items()}
    written: dict[str, Make] = {
        "a file that is missing": pictured(nothing),
        "a folder": pictured(lambda root: (root / "a.png").mkdir()),
        "a pipe that nobody writes into": pictured(lambda root: os.mkfifo(root / "a.png")),
        "an endless device": pictured(nothing, "/dev/zero"),
        "a terminal": pictured(nothing, "/dev/tty"),
        "a link to itself": pictured(around),
        "a path that leads out": pictured(outside, "../a.png"),
        "a path that leads out and comes back": pictured(outside, "../pictures/../a.png"),
        "an absolute path": pictured(nothing, "/etc/hostname"),
        "an absolute path in a list": pictured(nothing, ["/etc/hostname"]),
        "a link that leads out": pictured(linked),
        "a null character in its path": pictured(nothing, "a\0.png"),
        "halves of characters in its path": pictured(nothing, "\ud800.png"),
        "a path of 5,000 letters": pictured(nothing, "a" * 5000),
        "a number": pictured(nothing, 7),
        "an object": pictured(nothing, {"url": "http://localhost"}),
        "a list of nothing": pictured(nothing, [""]),
        "an address": pictured(nothing, "http://127.0.0.1:1/a.png"),
        "a path of blanks": pictured(nothing, "  "),
    }
    links = "a link that leads out"
    return cases | {f"picture/{name}": Case(make, int(name != links)) for name, make in written.items()}

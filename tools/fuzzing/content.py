"""Contents of files that are nearly right, for hypothesis to draw and to make smaller."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

Content = st.SearchStrategy[bytes]
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**63, -(2**63), 10**400, 1e308, float("nan"), float("inf"), "", " ", "\n"),
    *("\0", "\ud800", "\u202e", "a" * 5000, "../../etc/hostname", "/etc/hostname", "/dev/zero", "a.png", "b.png"),
    *("<image>", "<answer>", "</answer>", "{}", "{problem:9}", "%s", "1e999", "nan", "0x10", "1_0", "٣"),
    *([], {}, [[]], [None], [1, 2], {"a": 1}, [[[1]]]),
)
"""Values that are right in some places and wrong in most."""
BITS = (
    *('"', "'", ",", ";", "\t", "\n", "\r", "\0", "\ufeff", "\ud7ff", "<", ">", "&", "&lt;", "&b;", "</object>"),
    *("<!DOCTYPE a [<!ENTITY b 'x'>]>", "<![CDATA[", "]]>", "<!--", "<?xml version='1.1'?>", "&a ", "*a", "<<: *a"),
    *("{", "}", "[", "]", ":", "- ", "!!python/none ", "!!binary aaaa", "|\n", "%YAML 9.9\n", "---\n", "1:30", "~"),
)
"""Pieces of text that mean something to some reader."""
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF)
"""Bytes at the ends of ranges."""


def json_like() -> st.SearchStrategy[Any]:
    """Small values of JSON."""
    leaves = st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=8)
    return leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=4), leaves, max_size=3)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every entry below a value: what holds it, and its key or position."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in list(entries):
        yield value, key
        yield from places(below)


@st.composite
def changed(draw: Any, good: Sequence[Any]) -> Any:
    """A good value with one to three entries replaced, left out or doubled."""
    value = copy.deepcopy(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 3))):
        there = list(places(value))
        if not there:
            return draw(json_like())
        holder, key = there[draw(st.integers(0, len(there) - 1))]
        match draw(st.sampled_from(("replaced", "replaced", "left out", "doubled"))):
            case "replaced":
                holder[key] = copy.deepcopy(draw(json_like()))
            case "left out":
                del holder[key]
            case "doubled" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case "doubled":
                holder[draw(st.text(max_size=4))] = copy.deepcopy(holder[key])
    return value


def in_json(value: Any) -> bytes:
    """A value as a file of JSON, in which NaN and half an emoji may stand."""
    return json.dumps(value).encode()


def in_lines(value: Any) -> bytes:
    """A list as JSON lines."""
    return b"\n".join(map(in_json, value if isinstance(value, list) else [value]))


@st.composite
def edited(draw: Any, good: Sequence[bytes]) -> bytes:
    """A good file with one to four edits: a piece put in, taken out, doubled or overwritten, or the end cut off."""
    data = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        match draw(st.sampled_from(("put in", "taken out", "doubled", "overwritten", "cut"))):
            case "put in":
                data[start:start] = draw(pieces())
            case "taken out":
                del data[start:end]
            case "doubled":
                data[end:end] = data[start:end]
            case "overwritten":
                piece = draw(pieces())
                data[start : start + len(piece)] = piece
            case "cut":
                del data[start:]
    return bytes(data)


def pieces() -> Content:
    """What is put into a file."""
    texts = st.sampled_from(BITS).map(lambda bit: bit.encode(errors="replace")) | st.text(max_size=6).map(
        lambda text: text.encode(errors="replace")
    )
    odd = st.sampled_from(ODD).map(in_json)
    return texts | odd | st.binary(max_size=8) | st.sampled_from(NUMBERS).map(lambda number: bytes([number] * 4))

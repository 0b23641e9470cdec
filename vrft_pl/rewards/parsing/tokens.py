"""Places that families of models write as tokens or tags of their own, as the tags and numbers that others write."""

from __future__ import annotations

import re

from vrft_pl.rewards.parsing.denial import denies

_GRID = 32
"""Patches of Kosmos-2 along each side."""
_LOC = re.compile(r"((?>(?:<loc[0-9]{4}>)+))([^<;]*+);?+")
_LOC_RUN = re.compile(r"((?>(?:<loc_[0-9]{1,4}>)+))")
_PHRASE = re.compile(
    r"<phrase>([^<]*+)</phrase>\s*+<object>((?>(?:<patch_index_[0-9]{4}>|</delimiter_of_multi_objects/>)+))</object>"
)
_NUMBER = re.compile(r"<(?:loc_?|patch_index_)([0-9]++)>")
_POINT = re.compile(r"<points?\s([^<>]*+)>[^<]*+</points?>")
_ATTRIBUTE = re.compile(r"\b([xy])([0-9]{0,4})\s?=\s?[\"']\s?([0-9]{1,9}(?:\.[0-9]{1,9})?)\s?[\"']")


def with_boxes(text: str) -> str:
    """Write location tokens as labelled boxes, in the order of the tokens and in the units of the family.

    PaliGemma's four tokens before a label are 1024ths, y first; Florence-2's four behind one are 1000ths; Kosmos-2's
    two are cells of a grid, whose midst, or edges where they share a row or a column, are 32nds.

    Example:
        >>> with_boxes("<loc0205><loc0102><loc0410><loc0307> dog")
        '<ref>dog</ref><box>[[205,102,410,307]]</box>'
        >>> with_boxes("car<loc_52><loc_332><loc_932><loc_774>")
        '<ref>car</ref><box>[[52,332,932,774]]</box>'
        >>> with_boxes("<phrase>a dog</phrase><object><patch_index_0044><patch_index_0863></object>")
        '<ref>a dog</ref><box>[[12.5,1.5,31.5,26.5]]</box>'
    """
    if "<loc" not in text and "<phrase>" not in text:
        return text
    text = _LOC.sub(lambda found: _labelled(found[2], _numbers(found[1])), text)
    text = _PHRASE.sub(lambda found: _labelled(found[1], _of_cells(_numbers(found[2]))), text)
    *parts, after = _LOC_RUN.split(text)
    runs = zip(parts[::2], parts[1::2], strict=True)
    return "".join(_labelled(label, _numbers(run)) for label, run in runs) + after


def with_points(text: str) -> str:
    """Write Molmo's points as numbers.

    Example:
        >>> with_points('<points x1="10.5" y1="20" x2="30" y2="40.1" alt="dogs">dogs</points>')
        '[10.5,20],[30,40.1]'
    """
    return _POINT.sub(_pairs, text) if "<point" in text else text


def _pairs(tag: re.Match[str]) -> str:
    values = {name + number: value for name, number, value in _ATTRIBUTE.findall(tag[1])}
    numbers = [name[1:] for name in values if name.startswith("x")]
    whole = len(values) == 2 * len(numbers) and all(f"y{number}" in values for number in numbers)
    return ",".join(f"[{values[f'x{n}']},{values[f'y{n}']}]" for n in numbers) if whole and numbers else tag[0]


def _numbers(tokens: str) -> list[float]:
    return [int(number) for number in _NUMBER.findall(tokens)]


def _of_cells(cells: list[float]) -> list[float]:
    """Corners of the boxes that pairs of cells span."""
    corners: list[float] = []
    for first, last in zip(cells[::2], cells[1::2], strict=False):
        y1, x1 = divmod(first, _GRID)
        y2, x2 = divmod(last, _GRID)
        corners += [x1, y1, x2 + 1, y2 + 1] if x1 == x2 or y1 == y2 else [x1 + 0.5, y1 + 0.5, x2 + 0.5, y2 + 0.5]
    return corners if len(cells) % 2 == 0 else []


def _labelled(label: str, corners: list[float]) -> str:
    """A reference and its boxes; words that deny stay words, and what are not four numbers for each are no boxes."""
    label = label.strip()
    boxes = [corners[i : i + 4] for i in range(0, len(corners), 4)] if len(corners) % 4 == 0 else []
    listed = ",".join(f"[{','.join(f'{corner:g}' for corner in box)}]" for box in boxes)
    reference = f"<ref>{label}</ref>" if label and not denies(label) else label
    return f"{reference}<box>[{listed}]</box>"

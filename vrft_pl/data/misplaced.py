"""Answers that are of another family than the one that got them."""

from __future__ import annotations

from typing import Any

from vrft_pl.answers import Box, Choice, Expression, Instances, Label, Number, Points, Text, Transformation
from vrft_pl.types import InputError

FAMILIES: dict[type, str] = {
    Box: "Grounding",
    Number: "Counting",
    Label: "Classification",
    Instances: "Detection",
    Points: "Pointing",
    Choice: "Structure",
    Expression: "Structure",
    Transformation: "Spatial",
    Text: "OpenEnded",
}
"""By kind of typed answer, the family that takes it."""
ASK = {"Grounding": "box", "Counting": "count", "Classification": "class"}
"""By family, what sources of annotated objects are to ask for it."""


def refuse_other(answer: Any, owner: str, family: str) -> None:
    """Refuse a typed answer of another family, and name what to use.

    Args:
        answer: What the source gives; one that is not typed is left to the family.
        owner: The row, named in errors.
        family: Name of the family that got it.

    Raises:
        InputError: If it is one.
    """
    taker = FAMILIES.get(type(answer))
    if taker is None or taker == family:
        return
    told = f"{owner}: expected an answer that `{family}` takes, but the source gives one of `{taker}`."
    if taker == "Detection" and family in ASK:
        told += f" Set `ask: {ASK[family]}` of COCODetection, VOCDetection or LVISDetection"
        raise InputError(f"{told}{' (or take COCOSingles)' if family == 'Grounding' else ''}, or use `{taker}`.")
    objects = ", or `ask: one` of COCODetection, VOCDetection or LVISDetection" if family == "Detection" else ""
    raise InputError(f"{told} Use `{taker}`{objects}.")

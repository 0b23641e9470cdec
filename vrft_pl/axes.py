"""The axes of values that travel, and what follows from them: moving, selecting, keeping.

Legend: ``P`` prompts, ``G`` completions per prompt, ``N = P * G`` completions (those of one prompt beside each other),
``S`` prompt tokens, ``T`` completion tokens, ``V`` vocabulary, ``R`` rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

Axis = Literal["prompt", "completion", "token"]
"""What a field has an entry for: each prompt (``P``), each completion (``N``), each token of each (``(N, T)``)."""


def per(axis: Axis, *, kept: bool = True, **kwargs: Any) -> Any:
    """Declare a field of a frozen dataclass by its axis, once: selecting and keeping follow.

    Args:
        axis: What the field has an entry for. A dict has it in each of its values.
        kept: Whether a checkpoint keeps the field; otherwise it is made again from the samples.
        **kwargs: Those of `dataclasses.field`.
    """
    return field(metadata={"axis": axis, "kept": kept}, **kwargs)


class ToDevice:
    """Lets a frozen dataclass be a Lightning batch: Lightning calls ``.to`` and never mutates it."""

    def to(self, device: torch.device | str, **kwargs: Any) -> Self:
        """Move every field that has a ``to`` of its own."""
        moved: dict[str, Any] = {}
        for spec in fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, spec.name)
            if isinstance(value, Tensor | ToDevice):
                moved[spec.name] = value.to(device, **kwargs)
            elif type(value) is dict:  # not one of transformers' outputs, which is made where it is used
                moved[spec.name] = {k: v.to(device, **kwargs) if isinstance(v, Tensor) else v for k, v in value.items()}
        return replace(self, **moved)  # type: ignore[type-var]


def selected(value: Any, index: dict[Axis, Sequence[int]], num_tokens: int) -> dict[str, Any]:
    """Select from every field of a value that has an axis.

    Args:
        value: A dataclass with fields of `per`.
        index: Positions by axis; those per token are chosen by completion.
        num_tokens: ``T``, columns that stay.

    Returns:
        The fields for `dataclasses.replace`.
    """
    chosen = {}
    for spec in fields(value):
        axis: Axis | None = spec.metadata.get("axis")
        if axis is not None:
            rows = index["completion" if axis == "token" else axis]
            chosen[spec.name] = _take(getattr(value, spec.name), rows, num_tokens if axis == "token" else None)
    return chosen


def _take(value: Any, rows: Sequence[int], width: int | None) -> Any:
    """Select along the first axis of whatever a field holds."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {key: _take(part, rows, width) for key, part in value.items()}
    if isinstance(value, Tensor):
        taken = value[torch.as_tensor(rows, dtype=torch.long, device=value.device)]
        return taken if width is None else taken[:, :width]
    return value.select(rows) if hasattr(value, "select") else tuple(value[i] for i in rows)


def joined(parts: Sequence[Any]) -> dict[str, Any]:
    """Put values of one kind behind each other, in every field that has an axis; what is per token is padded.

    Args:
        parts: Dataclasses with fields of `per`, in the order wanted; a field is ``None`` in all of them or in none.

    Returns:
        The fields for `dataclasses.replace`.
    """
    found = {}
    for spec in fields(parts[0]):
        axis: Axis | None = spec.metadata.get("axis")
        if axis is not None:
            found[spec.name] = _join([getattr(part, spec.name) for part in parts])
    return found


def _join(values: Sequence[Any]) -> Any:
    """Put what a field holds behind each other, along the first axis."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: _join([value[key] for value in values]) for key in first}
    if isinstance(first, Tensor):
        width = max(value.shape[1] for value in values) if first.ndim > 1 else 0
        return torch.cat([pad(value, (0, width - value.shape[1])) if width else value for value in values])
    return first.join(values[1:]) if hasattr(first, "select") else tuple(entry for value in values for entry in value)


def kept(value: Any) -> dict[str, Any]:
    """The fields with an axis that a checkpoint keeps, as tensors and plain values."""
    specs = [spec for spec in fields(value) if spec.metadata.get("kept")]
    return {spec.name: _plain(getattr(value, spec.name)) for spec in specs}


def _plain(value: Any) -> Any:
    if isinstance(value, ToDevice):
        return kept(value)
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, dict) else value


def restored(kind: type, state: dict[str, Any]) -> dict[str, Any]:
    """Turn what `kept` returned for a value of this kind into arguments of its constructor."""
    names = {spec.name for spec in fields(kind) if spec.metadata.get("kept")}
    return {key: tuple(part) if isinstance(part, list) else part for key, part in state.items() if key in names}

"""Records as a report reads them: what another program wrote into a file, or a run that broke off, must not end it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from vrft_pl.runs import CompletionRecord

_TEXTS = ("id", "problem", "answer", "completion", "finish_reason")


def readable(records: Iterator[CompletionRecord]) -> Iterator[CompletionRecord]:
    """The records that are whole, with scores that are numbers; the others are left out."""
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except (TypeError, ValueError):
            continue  # a line without a text, or with tags that are no list; the next one may be whole
        if all(isinstance(getattr(record, name), str) for name in _TEXTS):
            yield replace(record, scores=finite(record.scores), parse_failures=texts(record.parse_failures))


def finite(scores: Any) -> dict[str, float]:
    """What is a number among scores."""
    items = scores.items() if isinstance(scores, dict) else ()
    return {str(k): float(v) for k, v in items if isinstance(v, int | float) and math.isfinite(v)}


def texts(reasons: Any) -> dict[str, str]:
    """Reasons as text."""
    return {str(k): str(v) for k, v in reasons.items()} if isinstance(reasons, dict) else {}


def number(value: object) -> float | None:
    """A finite number, also one that is written as text."""
    try:
        read = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return read if math.isfinite(read) else None


def numbers(scores: object) -> dict[str, float]:
    """What is a number among scores."""
    found = {name: number(value) for name, value in scores.items()} if isinstance(scores, Mapping) else {}
    return {str(name): value for name, value in found.items() if value is not None}

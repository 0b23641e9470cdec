"""Are the rows good?"""

from __future__ import annotations

import os
import re
from collections import defaultdict

from vrft_pl.check.findings import Finding
from vrft_pl.check.rows import Row, read_rows
from vrft_pl.check.subject import Subject
from vrft_pl.data.images import FileImage
from vrft_pl.data.samples import Part

_OWN_ID = re.compile(r"\(id (.+)\)$")
"""What a source says of the id that a row gives itself."""


def check_data(subject: Subject) -> list[Finding]:
    """Read the rows of every part; the other steps use those that are good."""
    findings, read = [], []
    for part in subject.task.every_part():
        rows = list(read_rows(part, subject.options.rows, subject.task.seed))
        subject.rows += rows
        read.append(f"{part} {len(rows)}" + (f" of {len(part.source)}" if len(rows) < len(part.source) else ""))
        findings += [*bad_rows(part, rows), *repeated_ids(part, rows)]
    if not read:
        return [Finding("error", "The config names no data: set `data.init_args.train`.")]
    return [*findings, *leaks(subject.rows), Finding("note", f"Rows read: {', '.join(read)}.")]


def bad_rows(part: Part, rows: list[Row]) -> list[Finding]:
    """Name the rows that can't be used."""
    bad = tuple(row.error for row in rows if row.error is not None)
    if not bad:
        return []
    what = f"{len(bad)} of {len(rows)} rows of {part} are bad"
    if len(bad) == len(rows):
        return [Finding("error", f"{what}: there is nothing left to use.", bad)]
    if part.task.on_bad_row == "skip":
        return [Finding("warning", f"{what}; `on_bad_row: skip` leaves them out.", bad)]
    return [Finding("error", f"{what}. Correct them, or leave them out with `on_bad_row: skip`.", bad)]


def repeated_ids(part: Part, rows: list[Row]) -> list[Finding]:
    """Name ids that several rows of a part have."""
    owners: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.record is not None:
            own = _OWN_ID.search(row.record.id)
            owners[own.group(1) if own else row.record.id].append(row.record.id)
    twice = tuple(f"{key!r}: {len(ids)} rows, {ids[0]} and {ids[1]}" for key, ids in owners.items() if len(ids) > 1)
    return [Finding("warning", f"{len(twice)} ids of {part} are those of several rows.", twice)] if twice else []


def leaks(rows: list[Row]) -> list[Finding]:
    """Name held-out rows that ask the same about the same picture files as a training row."""
    asked = {_asked(row) for row in rows if row.part.split == "train"} - {None}
    seen = tuple(
        f"{row.part}: {row.record.id}" for row in rows if row.record and _held_out(row) and _asked(row) in asked
    )
    return [Finding("warning", f"{len(seen)} held-out rows are also training rows.", seen)] if seen else []


def _held_out(row: Row) -> bool:
    return row.part.split != "train"


def _asked(row: Row) -> tuple[str, ...] | None:
    images = row.record.images if row.record else ()
    paths = [os.path.realpath(image.path) for image in images if isinstance(image, FileImage)]  # of links in a loop too
    return (row.record.problem, *paths) if row.record and images and len(paths) == len(images) else None

"""What a policy answered about pictures: a table, and drawings."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vrft_pl.callbacks.pictures import captioned, draw_marks
from vrft_pl.data import Pictures, Record
from vrft_pl.data.images import FileImage
from vrft_pl.runs import CompletionRecord, RunFolder

TABLE, DRAWINGS = "predictions.csv", "drawings"
COLUMNS = ("image", "problem", "answer", "boxes", "completion", "drawing", "error")
Row = dict[str, str]


def write_answers(folder: RunFolder, pictures: Pictures, skipped: Mapping[str, Sequence[str]], draws: bool) -> str:
    """Write the table, a row a question that was asked or could not be, and the drawings.

    Args:
        folder: Of the run, which holds the predictions.
        pictures: Those that were asked about.
        skipped: Why questions were left out, by part.
        draws: Whether to draw.

    Returns:
        What to tell of it.
    """
    records = {record.id: record for record in folder.predictions()}
    reasons = [reason for part in skipped.values() for reason in part]
    rows, stems = list[Row](), Counter[str]()
    for question in pictures:
        if (record := records.get(question.id)) is not None:
            name = drawing_name(record, stems) if draws else ""
            rows.append(answered(record, name))
            if draws:
                draw(record, folder, name)
        elif reason := next((reason for reason in reasons if reason.startswith(f"{question.id}:")), None):
            rows.append(unasked(question, reason))
    folder.write_text(TABLE, table(rows))
    return summary(folder, len(records), sum(r.unread is not None for r in records.values()), len(reasons), draws)


def drawing_name(record: CompletionRecord, stems: Counter[str]) -> str:
    """A name for a drawing that no other one of these has, after that of its picture."""
    stem = Path(record.images[0]).stem
    stems[stem] += 1
    name = f"{stem}.jpg" if stems[stem] == 1 else f"{stem}-{stems[stem]}.jpg"
    return f"{DRAWINGS}/{name}"


def answered(record: CompletionRecord, drawing: str) -> Row:
    """The row of a question that was answered."""
    error = "" if record.unread is None else f"The answer can't be read: {record.unread}."
    boxes = "" if record.boxes is None else json.dumps(record.boxes)
    told = {"image": record.images[0], "problem": record.problem, "answer": written(record.value), "boxes": boxes}
    return {**told, "completion": record.completion, "drawing": drawing, "error": error}


def unasked(question: Record, reason: str) -> Row:
    """The row of a question whose picture could not be read."""
    (image,) = question.images
    assert isinstance(image, FileImage)
    return {"image": str(image.path), "problem": question.problem, "error": reason}


def written(value: Any) -> str:
    """An answer in a cell.

    Example:
        >>> written(3.0), written("king"), written([1.0, 2.5, 3.0, 4.0]), written(None)
        ('3', 'king', '[1.0, 2.5, 3.0, 4.0]', '')
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def table(rows: Sequence[Row]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows({key: value.replace("\0", "") for key, value in row.items()} for row in rows)
    return text.getvalue().encode(errors="backslashreplace").decode()


def draw(record: CompletionRecord, folder: RunFolder, name: str) -> None:
    """Draw an answer on its picture, at its own size, question and answer below."""
    image = FileImage(Path(record.images[0]), record.id).open()
    draw_marks(image, record)
    told = written(record.value) if record.unread is None else f"({record.unread}) {record.completion[:200]}"
    with folder.file(name) as file:
        # without subsampling, so that thin lines keep their colour
        captioned(image, [record.problem, told]).save(file, "JPEG", quality=92, subsampling=0)


def summary(folder: RunFolder, asked: int, unread: int, broken: int, draws: bool) -> str:
    """What to tell of the answers."""
    counts = f"{asked} questions asked, {unread} answers can't be read, {broken} left out for their pictures"
    places = [f"Table: {folder.path / TABLE}", *([f"Drawings: {folder.path / DRAWINGS}"] if draws else [])]
    return "\n".join([f"{counts}.", *places])

"""What a policy answered about pictures: a table, and drawings."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vrft_pl.callbacks.pictures import captioned, draw_marks
from vrft_pl.commands.unasked import NOT_ASKED, left_out
from vrft_pl.data import Pictures, Record, VisionTask
from vrft_pl.data.images import DAMAGE, FileImage
from vrft_pl.data.written import plain_number
from vrft_pl.runs import CompletionRecord, RunFolder

TABLE, DRAWINGS = "predictions.csv", "drawings"
COLUMNS = ("image", "problem", "answer", "boxes", "completion", "drawing", "error")
COMPUTED = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet takes for a formula."""
MOST_CELL = 32_767
"""Characters of a cell of a spreadsheet."""
ENOUGH_PICTURES, SAME_SHARE = 10, 0.8
"""Pictures from which on, and share of answers above which, the same answer to all is told."""
Row = dict[str, str]


def write_answers(folder: RunFolder, pictures: Pictures, task: VisionTask, draws: bool) -> str:
    """Write the table, a row a question that was asked or could not be, and the drawings.

    Args:
        folder: Of the run, which holds the predictions.
        pictures: Those that were asked about.
        task: Which asked, with its limits on pictures, and why it left questions out.
        draws: Whether to draw.

    Returns:
        What to tell of it.
    """
    records = {record.id: record for record in folder.predictions()}
    broken = left_out(task)
    rows, asked = list[Row](), list[tuple[Row, CompletionRecord, FileImage]]()
    for i, question in enumerate(pictures):
        if (record := records.get(question.id)) is not None:
            rows.append(answered(record))
            asked.append((rows[-1], record, picture_of(task.limited(question))))
        else:
            rows.append(unasked(question, broken.get(i, NOT_ASKED)))
    folder.write_text(TABLE, table(rows))  # before the drawings: a picture that memory does not hold costs no answer
    if draws:
        draw_all(asked, folder)
        folder.write_text(TABLE, table(rows))
    return summary(folder, rows, [record for _, record, _ in asked], len(broken), draws)


def draw_all(asked: Sequence[tuple[Row, CompletionRecord, FileImage]], folder: RunFolder) -> None:
    """Draw every answer, and note in its row where, or why not."""
    stems = Counter[str]()
    for row, record, image in asked:
        name = drawing_name(record, stems)
        try:
            draw(image, record, folder, name)
            row["drawing"] = name
        except DAMAGE as error:
            row["error"] = row["error"] or f"The answer can't be drawn: {error}"


def drawing_name(record: CompletionRecord, stems: Counter[str]) -> str:
    """A name for a drawing that no other one of these has, after that of its picture."""
    stem = Path(record.images[0]).stem
    stems[stem] += 1
    name = f"{stem}.jpg" if stems[stem] == 1 else f"{stem}-{stems[stem]}.jpg"
    return f"{DRAWINGS}/{name}"


def answered(record: CompletionRecord) -> Row:
    """The row of a question that was answered."""
    error = misplaced(record) if record.unread is None else f"The answer can't be read: {record.unread}."
    boxes = "" if record.boxes is None else json.dumps(record.boxes)
    told = {"image": record.images[0], "problem": record.problem, "answer": written(record.value), "boxes": boxes}
    return {**told, "completion": record.completion, "error": error}


def misplaced(record: CompletionRecord) -> str:
    """What is wrong with the places of an answer: boxes and points that lie outside of their picture."""
    marks = record.marks or ()
    outside = sum(not overlaps(mark["shape"], record.size) for mark in marks)
    return f"Outside of the picture: {outside} of {len(marks)} places." if outside else ""


def overlaps(shape: Sequence[float], size: tuple[int, int] | None) -> bool:
    """Whether a box, or an outline, has a part in a picture of this size.

    Example:
        >>> [overlaps(box, (100, 80)) for box in ((90, 70, 120, 90), (100, 70, 100, 80), (110, 10, 116, 16))]
        [True, False, False]
    """
    (width, height), xs, ys = size or (math.inf, math.inf), shape[::2], shape[1::2]
    return max(0, min(xs)) < min(width, max(xs)) and max(0, min(ys)) < min(height, max(ys))


def unasked(question: Record, reason: str) -> Row:
    """The row of a question that was not asked."""
    return {"image": str(picture_of(question).path), "problem": question.problem, "error": reason}


def picture_of(question: Record) -> FileImage:
    """The picture of a question."""
    (image,) = question.images
    assert isinstance(image, FileImage)
    return image


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
    """Rows as a file of commas that spreadsheets open: they take one for UTF-8 by the mark at its beginning."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)
    return "\ufeff" + text.getvalue().encode(errors="backslashreplace").decode()


def cell(text: str) -> str:
    """A text that spreadsheets show as it is: none that they would compute, cut where a cell ends for them.

    Example:
        >>> cell("=1+1"), cell("-3"), cell("- a king"), cell("king")
        ("'=1+1", '-3', "'- a king", 'king')
    """
    text = text.replace("\0", "")
    quoted = f"'{text}" if text.startswith(COMPUTED) and plain_number(text) is None else text
    return quoted if len(quoted) <= MOST_CELL else f"{quoted[: MOST_CELL - 1]}…"


def draw(picture: FileImage, record: CompletionRecord, folder: RunFolder, name: str) -> None:
    """Draw an answer on its picture, at its own size, question and answer below."""
    image = picture.open()
    draw_marks(image, record)
    told = written(record.value) if record.unread is None else f"({record.unread}) {record.completion[:200]}"
    with folder.file(name) as file:
        # without subsampling, so that thin lines keep their colour
        captioned(image, [record.problem, told]).save(file, "JPEG", quality=92, subsampling=0)


def summary(
    folder: RunFolder, rows: Sequence[Row], records: Sequence[CompletionRecord], broken: int, draws: bool
) -> str:
    """What to tell of the answers."""
    unread, unasked = sum(record.unread is not None for record in records), len(rows) - len(records) - broken
    undrawn = len(records) - sum("drawing" in row for row in rows) if draws else 0
    counts = f"{len(records)} questions asked, {unread} answers can't be read, {broken} left out for their pictures"
    counts += f", {unasked} not asked (`limit_predict_batches`)" if unasked else ""
    places = [f"Table: {folder.path / TABLE}", *([f"Drawings: {folder.path / DRAWINGS}"] if draws and records else [])]
    told = [*suspicion(records), *misreading(records)]
    return "\n".join([f"{counts}{f', {undrawn} not drawn' if undrawn else ''}.", *told, *places])


def misreading(records: Sequence[CompletionRecord]) -> list[str]:
    """A line where answers lie outside of their pictures, as those in other coordinates do."""
    outside = sum(bool(misplaced(record)) for record in records)
    advice = "the policy may write other coordinates than `model.policy.coordinates` says."
    return [f"{outside} of {len(records)} answers lie outside of their pictures: {advice}"] if outside else []


def suspicion(records: Sequence[CompletionRecord]) -> list[str]:
    """A line where nearly every picture got the same answer to the same question, if there are enough to tell."""
    values = same([(record.problem, written(record.value)) for record in records if record.unread is None])
    count = max(values, same([(record.problem, record.completion) for record in records]))
    pictures = {record.images for record in records}
    if len(pictures) < ENOUGH_PICTURES or count <= SAME_SHARE * len(records):
        return []
    return [f"{count} of {len(records)} answers are the same: the policy may not look at the pictures."]


def same(answers: Sequence[tuple[str, str]]) -> int:
    """How many questions got the most frequent answer to them.

    Args:
        answers: Each with its question before it.

    Example:
        >>> same([("dog?", "yes"), ("dog?", "yes"), ("dog?", "no"), ("cat?", "no")])
        3
    """
    frequent: dict[str, int] = {}
    for (problem, _), count in Counter(answers).items():
        frequent[problem] = max(count, frequent.get(problem, 0))
    return sum(frequent.values())

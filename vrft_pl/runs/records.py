"""One completion as it is kept: of training, of an evaluation, in a table of W&B."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

from torch import Tensor

from vrft_pl.answers import AnswerFrame, Mark
from vrft_pl.metrics.detection import Question, asked_question
from vrft_pl.prompts import answer_text
from vrft_pl.rewards import Unread, answered_marks, answered_value
from vrft_pl.rewards.base import REASONS
from vrft_pl.runs.pictures import KeptPicture
from vrft_pl.types import Completions, Sample
from vrft_pl.unanswered import Unanswered

PIXELS = AnswerFrame(0, 0, 1.0, 1.0)
"""Writes coordinates as pixels of the original image."""


TUPLES = ("tags", "images", "pictures", "size", "truth", "marks")
"""Fields of a record that JSON holds as lists."""


class Key(NamedTuple):
    """What tells a record from every other of its file."""

    step: int
    """Optimizer steps done when it was written."""
    rank: int
    """The process that kept it."""
    row: int
    """Its place among the records of that step and process, from 0."""


@dataclass(frozen=True)
class CompletionRecord:
    """What is kept of one completion. In JSON, what there is none of is left out."""

    step: int
    """Optimizer steps done when it was written."""
    rank: int
    """The process that kept it; the first keeps evaluations for all."""
    row: int
    """Its place among the records of that step and process, from 0."""
    split: str | None
    """``train``, or the name of the held-out part."""
    id: str
    """Of the sample."""
    problem: str
    """The question."""
    answer: str
    """The ground truth as the policy should write it, in pixels of the original image; empty where there is none."""
    completion: str
    """What the policy wrote."""
    finish_reason: str
    """``stop`` or ``length``."""
    tags: tuple[str, ...] = ()
    """All names that the sample is counted under."""
    scores: dict[str, float] = field(default_factory=dict)
    """Of each reward, and of each metric that goes by one, that judges the sample."""
    parse_failures: dict[str, str] = field(default_factory=dict)
    """Why no answer could be read, by the reward that could not."""
    images: tuple[str, ...] = ()
    """Paths of the sample's pictures that are files."""
    value: Any = None
    """What was answered to a question without ground truth: a number, a letter, a text, or edges of boxes in pixels of
    the original image."""
    unread: str | None = None
    """Why nothing could be read of that answer."""
    advantage: float | None = None
    """While training."""
    boxes: list[Any] | None = None
    """Of an answer that can be drawn, in pixels of the original image and cut at its edges; with ``confidence`` and
    ``category`` where objects were asked for. For programs; `marks` says the same for people."""
    pictures: tuple[str, ...] = ()
    """Files of the sample's pictures in ``pictures`` of the run's folder, ``<content hash>.webp``, which may be smaller
    than the originals; empty where they were not kept."""
    size: tuple[int, int] | None = None
    """Width and height of the first picture in pixels of the original image, in which `truth` and `marks` are."""
    truth: tuple[dict[str, Any], ...] = ()
    """What the ground truth draws on the first picture, in the order of drawing: ``shape`` (the edges x1, y1, x2, y2 of
    a box, or the corners of an outline, six numbers or more), ``label`` and ``faint``, as in `vrft_pl.answers.Mark`."""
    marks: tuple[dict[str, Any], ...] | None = None
    """What the answer draws, likewise; ``None`` where nothing could be read, or there is nothing to draw."""

    @property
    def key(self) -> Key:
        """What tells it from every other record of its file."""
        return Key(self.step, self.rank, self.row)

    def row_of_json(self) -> dict[str, Any]:
        """The record as JSON holds it."""
        row = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        missing = (name for name in ("images", "pictures", "truth") if not row[name])  # an answer of no marks is one
        left_out = {*missing, *(name for name in row if row[name] is None and name != "split")}
        return {name: value for name, value in row.items() if name not in left_out}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> CompletionRecord:
        """Read what `row_of_json` made."""
        names = {part.name for part in fields(cls)}
        tuples = {name: tuple(row[name]) for name in TUPLES if row.get(name) is not None}
        return cls(**({name: row[name] for name in row if name in names} | tuples))

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> CompletionRecord | None:
        """The same; ``None`` of what something else made."""
        try:
            return cls.from_json(row)
        except TypeError:  # a field that is missing, or is no list
            return None


class Told(NamedTuple):
    """What there is to say of one completion."""

    record: CompletionRecord
    """What is kept of it."""
    question: Question | None
    """Its boxes, where objects were asked for."""
    pictures: Mapping[str, bytes] = {}
    """Content of those of the record's pictures that are not in the run's folder yet, by their names."""


def describe(
    key: Key,
    split: str | None,
    sample: Sample,
    completions: Completions,
    i: int,
    scores: Mapping[str, Tensor],
    parse_failures: Mapping[str, Tensor],
    pictures: Sequence[KeptPicture] = (),
) -> Told:
    """Make the record of completion ``i``.

    Args:
        key: Where it stands.
        split: Name of the part that the sample is of.
        sample: Its question and ground truth.
        completions: It and others.
        i: Its position among them.
        scores: Of each reward, for all completions.
        parse_failures: By the name of each reward, for all completions; as in `Experience`.
        pictures: The sample's, as `vrft_pl.runs.pictures.encoded` makes them. By default none are kept.
    """
    codes = {name: int(code[i]) for name, code in parse_failures.items()}
    text, frame = completions.texts[i], completions.frames[i]
    asked = as_asked(sample)
    value = None if asked is sample else answered_value(asked.solution, text, asked, frame)
    question, boxes = answered_boxes(text, asked, frame)
    marks = answered_marks(asked.solution, text, asked, frame)
    record = CompletionRecord(
        *key,
        split,
        sample.id,
        sample.problem,
        answer_text(sample, PIXELS),
        text,
        completions.finish_reasons[i],
        sample.groups,
        {name: round(score[i].item(), 6) for name, score in scores.items() if codes[name] >= 0},
        {name: REASONS[code - 1].value for name, code in codes.items() if code > 0},
        images=paths(sample),
        value=None if isinstance(value, Unread) else value,
        unread=value.value if isinstance(value, Unread) else None,
        boxes=boxes,
        pictures=tuple(picture.name for picture in pictures),
        size=None if frame is None else (frame.width, frame.height),
        truth=mark_rows(sample.solution.marks()),
        marks=None if marks is None else mark_rows(marks),
    )
    return Told(record, question, {name: content for name, content in pictures if content is not None})


def as_asked(sample: Sample) -> Sample:
    """A sample whose answer is read as its kind is, whether or not it has a ground truth."""
    kind = sample.solution.kind if isinstance(sample.solution, Unanswered) else None
    return sample if kind is None else replace(sample, solution=kind)


def paths(sample: Sample) -> tuple[str, ...]:
    """Where the pictures of a sample lie, of those that are files."""
    found = (getattr(image, "path", None) for image in sample.images)
    return tuple(str(path) for path in found if path is not None)


def mark_rows(marks: Iterable[Mark]) -> tuple[dict[str, Any], ...]:
    """Marks as JSON holds them."""
    return tuple({"shape": pixels(mark.shape), "label": mark.label, "faint": mark.faint} for mark in marks)


def answered_boxes(text: str, sample: Sample, frame: AnswerFrame | None) -> tuple[Question | None, list[Any] | None]:
    """Read the boxes of an answer: for COCO's results, and for people; ``None`` where there are none to read."""
    question = asked_question(text, sample, frame)
    if question is None:
        marks = answered_marks(sample.solution, text, sample, frame)
        return None, None if marks is None else [pixels(mark.shape) for mark in marks]
    named = [
        {"box": pixels(box), "confidence": round(score, 6), "category": asked.category}
        for asked in question.asked
        for box, score in asked.answers
    ]
    return question, named if question.read else None


def pixels(box: Any) -> list[float]:
    """Round coordinates to thousandths of a pixel."""
    return [round(value, 3) for value in box]

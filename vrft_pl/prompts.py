"""From a question to a chat, and from ground truth to the target that supervised training imitates."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vrft_pl.answers import AnswerFrame
from vrft_pl.styles import answer_style
from vrft_pl.templates import fields_of
from vrft_pl.types import InputError, Sample

MARKER = "<image>"
"""Stands in a question where a picture belongs; where none stands there, pictures come before the text."""
TEMPLATE = "{problem} {instruction}"
"""How a question is written."""
FIELDS = ("problem", "instruction", "form", "coordinates")
"""What a template may hold beside columns of the rows."""
TRUTH = ("answer", "solution", "cot", "target")
"""What none may hold: it would tell the answer."""
HALVES = re.compile("[\ud800-\udfff]")
"""Halves of a character, which JSON may hold and no tokenizer takes."""


def question(sample: Sample, coordinates: str) -> str:
    """Write the question with the form its answer should have.

    Args:
        sample: The question; its ``style`` chooses the instruction.
        coordinates: How the policy writes coordinates, in words, such as "pixels".

    Raises:
        InputError: If the row lacks a column that the template names.
    """
    form = sample.solution.form(coordinates)
    instruction = answer_style(sample.style).instruction.format(form=form)
    template = TEMPLATE if sample.template is None else sample.template
    columns = written_columns(sample.template, sample.extra, sample.id)
    own = {"problem": sample.problem, "instruction": instruction, "form": form, "coordinates": coordinates}
    return template.format(**columns, **own)


def check_template(template: str | None) -> None:
    """Raise `ValueError` for a template of a question that can't be filled in, tells the answer or leaves it out."""
    if template is None:
        return
    fields = fields_of("template", template)
    names = {name for name, *_ in fields}
    odd = any(spec or conversion or not name.isidentifier() for name, spec, conversion in fields)
    if odd or names & set(TRUTH) or "problem" not in names:
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise ValueError(
            f"Expected `template` to hold {{problem}}, and no field but {known} and columns of the rows, "
            f"but got {template!r}."
        )


def check_columns(template: str | None, extra: Mapping[str, Any], owner: str) -> None:
    """Raise `InputError` for a row that lacks a column of a template, or has one that can't be written there."""
    written_columns(template, extra, owner)


def written_columns(template: str | None, extra: Mapping[str, Any], owner: str) -> dict[str, str]:
    """The columns that a template names, as they are written: texts as they stand, lists and objects as JSON.

    Args:
        template: As `check_template` lets it be.
        extra: Columns of the row.
        owner: The row, named in errors.

    Raises:
        InputError: If the row lacks one, or it holds half of a character.
    """
    if template is None:
        return {}
    names = {name for name, *_ in fields_of("template", template)} - set(FIELDS)
    written = {}
    for name in names:
        if (value := extra.get(name)) is None:
            raise InputError(
                f"{owner}: expected a column `{name}`, which `template` names, but the row has "
                f"{reprlib.repr(sorted(extra))}."
            )
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if HALVES.search(text):
            raise InputError(f"{owner}: expected `{name}` to be a string, but got {reprlib.repr(text)}.")
        written[name] = text
    return written


def chat(sample: Sample, coordinates: str) -> list[dict[str, Any]]:
    """Write the conversation that ends where the policy's turn begins, pictures at their markers or before the text.

    Raises:
        InputError: If the question has markers, but not one for each picture.
    """
    first, *rest = question(sample, coordinates).split(MARKER)
    if len(rest) not in (0, len(sample.images)):
        raise InputError(
            f"{sample.id}: expected `{MARKER}` once for each of {len(sample.images)} pictures, but got {len(rest)} in "
            "the question. Without any, pictures come before the text."
        )
    picture: dict[str, Any] = {"type": "image"}
    content = [] if rest else [picture.copy() for _ in sample.images]
    content += [{"type": "text", "text": first}] if first or not rest else []
    for text in rest:
        content += [picture.copy(), *([{"type": "text", "text": text}] if text else [])]
    system = [{"role": "system", "content": [{"type": "text", "text": sample.system}]}] if sample.system else []
    return [*system, {"role": "user", "content": content}]


def answer_text(sample: Sample, frame: AnswerFrame | None) -> str:
    """Write the ground truth as the policy should.

    Args:
        sample: The sample.
        frame: The policy's coordinates for this picture; needed when the answer has boxes.

    Raises:
        InputError: If it can't be written.
    """
    with named(sample):
        return sample.solution.text(frame)


def target_text(sample: Sample, frame: AnswerFrame | None) -> str:
    """Write the whole turn that supervised training imitates: the sample's own, or what `AnswerStyle.target` writes.

    Raises:
        InputError: If the answer can't be written, or the style needs another chain of thought than the sample has.
    """
    if sample.target is not None:
        return sample.target
    with named(sample):
        return answer_style(sample.style).target(sample.solution.text(frame), sample.cot)


@contextmanager
def named(sample: Sample) -> Iterator[None]:
    """Say of what can't be written whose it is."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"{sample.id}: {error}") from error

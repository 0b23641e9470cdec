"""From a question to a chat, and from ground truth to the target that supervised training imitates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from string import Formatter
from typing import Any

from vrft_pl.answers import AnswerFrame
from vrft_pl.styles import answer_style
from vrft_pl.types import InputError, Sample

MARKER = "<image>"
"""Stands in a question where a picture belongs; where none stands there, pictures come before the text."""
TEMPLATE = "{problem} {instruction}"
"""How a question is written."""
FIELDS = ("problem", "instruction", "form", "coordinates")
"""What a template may hold."""


def question(sample: Sample, coordinates: str) -> str:
    """Write the question with the form its answer should have.

    Args:
        sample: The question; its ``style`` chooses the instruction.
        coordinates: How the policy writes coordinates, in words, such as "pixels".
    """
    form = sample.solution.form(coordinates)
    instruction = answer_style(sample.style).instruction.format(form=form)
    template = TEMPLATE if sample.template is None else sample.template
    return template.format(problem=sample.problem, instruction=instruction, form=form, coordinates=coordinates)


def check_template(template: str | None) -> None:
    """Raise `ValueError` for a template of a question that can't be filled in or leaves out the question."""
    if template is None:
        return
    try:
        fields = {
            (name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template) if name is not None
        }
    except ValueError as error:
        raise ValueError(f"Expected `template` to be a template, but {template!r} is none: {error}.") from error
    names = {name for name, _, _ in fields}
    if names - set(FIELDS) or "problem" not in names or any(spec or conversion for _, spec, conversion in fields):
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise ValueError(f"Expected `template` to hold {{problem}}, and no field but {known}, but got {template!r}.")


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

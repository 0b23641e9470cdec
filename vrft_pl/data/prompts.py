"""From a question to a chat, and from ground truth to the target that supervised training imitates."""

from __future__ import annotations

import math
import reprlib
from string import Formatter
from typing import Any

from vrft_pl.solutions import XYXY, Box, Choice, Expression, Instances, Label, Number, Transformation
from vrft_pl.types import AnswerFrame, AnswerStyle, InputError, Sample

INSTRUCTIONS: dict[AnswerStyle, str] = {
    "answer": "Answer with {form} only.",
    "think": "Think inside <think> </think>, then answer with {form} inside <answer> </answer>.",
    "caption": (
        "Plan inside <summary> </summary>, describe inside <caption> </caption>, think inside <think> </think>, "
        "then answer with {form} inside <answer> </answer>."
    ),
}
TEMPLATE = "{problem} {instruction}"
"""How a question is written."""
FIELDS = ("problem", "instruction", "form", "coordinates")
"""What a template may hold."""
TAGS: dict[AnswerStyle, tuple[str, ...]] = {
    "answer": (),
    "think": ("think", "answer"),
    "caption": ("summary", "caption", "think", "answer"),
}
"""The blocks of each style, in order."""
NO_OBJECTS = "No Objects"
"""The answer to a detection question when there is nothing to find."""


def question(sample: Sample, coordinates: str) -> str:
    """Write the question with the form its answer should have.

    Args:
        sample: The question; its ``style`` chooses the instruction.
        coordinates: How the policy writes coordinates, in words, such as "pixels".
    """
    match sample.solution:
        case Number():
            form = "a number"
        case Choice():
            form = "the letter of one option"
        case Expression():
            form = "a number or an expression"
        case Label():
            form = "a class name"
        case Box():
            form = f"a box [x1, y1, x2, y2] in {coordinates}"
        case Instances(categories=categories):
            label = ", 'Label': name" if len(categories) > 1 else ""
            form = (
                f"a list of {{'Position': [x1, y1, x2, y2], 'Confidence': c{label}}} in {coordinates}, or No Objects,"
            )
        case Transformation():
            form = "calls such as change_color(object, value), separated by commas,"
    instruction = INSTRUCTIONS[sample.style].format(form=form)
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
    """Write the conversation that ends where the policy's turn begins, pictures before the text."""
    content: list[dict[str, Any]] = [{"type": "image"} for _ in sample.images]
    content.append({"type": "text", "text": question(sample, coordinates)})
    system = [{"role": "system", "content": [{"type": "text", "text": sample.system}]}] if sample.system else []
    return [*system, {"role": "user", "content": content}]


def answer_text(sample: Sample, frame: AnswerFrame | None) -> str:
    """Write the ground truth as the policy should.

    Args:
        sample: The sample.
        frame: The policy's coordinates for this picture; needed when the answer has boxes.
    """
    match sample.solution:
        case Number(value, unit):
            number = str(int(value)) if float(value).is_integer() else str(value)
            return number if unit is None else f"{number} {unit}"
        case Choice(letter):
            return letter
        case Expression(text):
            return text
        case Label(name):
            return name
        case Box(xyxy):
            return box_text(xyxy, sample, frame)
        case Instances(items, categories):
            rows = []
            for item in items:
                label = f", 'Label': {item.category!r}" if len(categories) > 1 else ""
                if not item.crowd:
                    rows.append(f"{{'Position': {box_text(item.xyxy, sample, frame)}, 'Confidence': 1.0{label}}}")
            return f"[{', '.join(rows)}]" if rows else NO_OBJECTS
        case Transformation(calls):
            return ", ".join(f"{call.function}({call.object}, {call.value})" for call in calls)


def box_text(xyxy: XYXY, sample: Sample, frame: AnswerFrame | None) -> str:
    """Write a box in the policy's coordinates.

    Raises:
        InputError: If there is no picture to place it in.
    """
    if frame is None:
        raise InputError(f"{sample.id}: expected a picture for an answer with boxes, but there is none.")
    x1, y1, x2, y2 = frame.to_answer(xyxy)
    decimals = 3 if frame.scale_x == frame.width else 0
    (left, right), (top, bottom) = (widened_span(*span, decimals) for span in ((x1, x2), (y1, y2)))
    return f"[{', '.join(f'{v:.{decimals}f}' for v in (left, top, right, bottom))}]"


def widened_span(low: float, high: float, decimals: int) -> tuple[float, float]:
    """Widen a span that would vanish when it is rounded to the smallest that holds its lower end."""
    if f"{low:.{decimals}f}" != f"{high:.{decimals}f}":
        return low, high
    step = 10.0**-decimals
    first = math.floor(low / step)
    return first * step, (first + 1) * step


def target_text(sample: Sample, frame: AnswerFrame | None) -> str:
    """Write the whole turn that supervised training imitates.

    The ``think`` style needs a chain of thought; ``caption`` takes its summary and caption from one that already holds
    the tags, as Reason-RFT writes them. Of a whole turn the thoughts stay, and its answer is written anew: in the
    policy's coordinates, and the very one that was checked.

    Raises:
        InputError: If the style needs a chain of thought and the sample has none, or one with more than one answer.
    """
    answer = answer_text(sample, frame)
    if sample.style == "answer":
        return answer
    if not sample.cot:
        raise InputError(
            f"{sample.id}: expected a chain of thought (`cot`) for the `{sample.style}` style, but there is none. "
            "Use `style: answer`, or add `cot` to the row."
        )
    cot = sample.cot.strip()
    if "<answer>" in cot or "</answer>" in cot:
        before, after = around_answer(cot, sample.id)
        return f"{before}<answer>{answer}</answer>{after}"
    if sample.style == "caption" or "<think>" in cot:
        return f"{cot}<answer>{answer}</answer>"
    return f"<think>{cot}</think><answer>{answer}</answer>"


def around_answer(turn: str, owner: str) -> tuple[str, str]:
    """Split a turn into what stands before and behind its one answer.

    Raises:
        InputError: If it does not hold one ``<answer>`` block, naming the row.
    """
    before, _, rest = turn.partition("<answer>")
    _, closed, after = rest.partition("</answer>")
    if not closed or turn.count("<answer>") != 1 or turn.count("</answer>") != 1:
        raise InputError(f"{owner}: expected one <answer> block in `cot`, but got {reprlib.repr(turn)}.")
    return before, after

"""Rows of other tools (TRL, ms-swift, VLM-R1, LLaMA-Factory) as rows of `ReasonJSON`, or of `VideoJSON`."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from vrft_pl.data.boxes import corners, is_number, written_box
from vrft_pl.data.sources.rows import check_text, image_paths, placed_pictures
from vrft_pl.data.sources.sharegpt import ROLES, split_answer
from vrft_pl.data.sources.videos import VIDEO
from vrft_pl.data.written import plain_number
from vrft_pl.prompts import MARKER
from vrft_pl.types import InputError

ANSWERS = ("solution", "answer", "ground_truth", "completion", "output")
"""Columns that hold the answer where no other is named, the first that a row has."""
TAKEN = {
    *("prompt", "messages", "conversations", "instruction", "input", "objects", "image", "images", "video", "videos"),
    *ANSWERS,
}
"""Columns that become others; every other one of a row stays."""
_FENCED = re.compile(r"\s*```(?:json)?\s*(.*?)```\s*", re.DOTALL)
_PLACES = re.compile(r"<ref-object>|<bbox>")
MARKERS = {"image": MARKER, "video": VIDEO}
"""What a part of a turn becomes, by its type."""
Turn = tuple[str, str]
"""Role and text."""


def converted(row: Mapping[str, Any], owner: str, answer: str | None = None) -> dict[str, Any]:
    """Make a row of `ReasonJSON` of a row of another tool, or one of `VideoJSON` where it has a video.

    Args:
        row: One with ``prompt`` (TRL), ``messages`` (TRL, ms-swift, LLaMA-Factory), ``conversations`` (VLM-R1,
            LLaMA-Factory) or ``instruction`` (LLaMA-Factory's alpaca).
        owner: The row, named in errors.
        answer: Column of the answer. Defaults to the first of `ANSWERS` that there is, and else to the last turn.

    Raises:
        InputError: If it is none of these, asks more than one question, or has no answer that a family reads.

    Example:
        >>> converted({"prompt": "How many?", "images": ["a.png"], "solution": "<answer>2</answer>"}, "row 0")
        {'image': 'a.png', 'problem': 'How many?', 'answer': '2'}
    """
    if present := [key for key in ("audios", "tools") if row.get(key)]:
        raise InputError(f"{owner}: expected pictures, a video and text alone, but it has `{present[0]}`.")
    spoken = list(placed(row, list(turns(row, owner)), owner))
    system = [text for role, text in spoken if role == "system"]
    asked = [text for role, text in spoken if role == "user"]
    said = [text for role, text in spoken if role == "assistant"]
    if len(asked) != 1 or len(said) > 1 or len(system) > 1:
        raise InputError(f"{owner}: expected one question, but got turns of {[role for role, _ in spoken]}.")
    content = shown(row, asked[0], owner)
    told, cot = answer_of(row, said, owner, answer)
    others = {key: value for key, value in row.items() if key not in TAKEN and key != answer}
    found = {"cot": cot, "system": system[0] if system else row.get("system")}
    made = {**others, **content, "answer": told, **{key: value for key, value in found.items() if value}}
    check_numbers(made, owner)
    return made


def shown(row: Mapping[str, Any], question: str, owner: str) -> dict[str, Any]:
    """The pictures of a row, or its video, and the question with markers where it says that they belong.

    Raises:
        InputError: If the question has markers, but not one each, or there are several videos, or one beside pictures.
    """
    images, videos = image_paths(row, owner), row.get("videos") or row.get("video") or []
    if not videos and VIDEO in question:
        raise InputError(f"{owner}: expected a video in `videos` for `{VIDEO}`, but there is none.")
    if not videos:
        problem = placed_pictures(question, len(images), owner)
        return {"image": images[0] if len(images) == 1 else images, "problem": problem}
    match videos:
        case [str() as video] | str(video) if not images:
            before, *after = (part.strip() for part in question.split(VIDEO))
            if len(after) > 1 or MARKER in question:
                raise InputError(f"{owner}: expected `{VIDEO}` once at most, but got {reprlib.repr(question)}.")
            return {"video": video, "problem": question.strip() if before else "".join(after)}
    got = f"{len(videos)} videos" if isinstance(videos, list) else reprlib.repr(videos)
    raise InputError(
        f"{owner}: expected pictures, or one video that is a file, but got {got} beside {len(images)} pictures."
    )


def turns(row: Mapping[str, Any], owner: str) -> Iterator[Turn]:
    """The turns of a row, from whatever holds them."""
    if "instruction" in row:
        check_text(row["instruction"], "instruction", owner)
        check_text(row.get("input") or "", "input", owner)
        yield "user", "\n".join(filter(None, (row["instruction"], row.get("input"))))
        return
    key = next((key for key in ("messages", "conversations", "prompt") if key in row), None)
    if key is None and "problem" in row:
        raise InputError(
            f"{owner}: expected a row of another tool, but got one that vrft_pl.data.ReasonJSON reads as it is. Name "
            "this file as its `path`."
        )
    if key is None:
        wanted = "`prompt`, `messages`, `conversations` or `instruction`"
        raise InputError(f"{owner}: expected {wanted}, but got {reprlib.repr(sorted(row))}.")
    said = [{"role": "user", "content": row[key]}] if isinstance(row[key], str) else row[key]
    if not isinstance(said, list) or not said or not all(isinstance(turn, dict) for turn in said):
        raise InputError(f"{owner}: expected a list of turns in `{key}`, but got {reprlib.repr(row[key])}.")
    for turn in said:
        role = turn.get("role", turn.get("from"))
        if not isinstance(role, str) or role not in ROLES:
            raise InputError(f"{owner}: expected turns of {sorted(ROLES)}, but got one of {reprlib.repr(role)}.")
        yield ROLES[role], text_of(turn.get("content", turn.get("value")), owner)


def text_of(content: Any, owner: str) -> str:
    """The text of a turn, which may be a list of parts; parts that stand for pictures or a video become markers.

    Raises:
        InputError: If it is neither.
    """
    plain = str(content) if is_number(content) else content  # VLM-R1's answers may be numbers
    parts = content if isinstance(content, list) else [{"type": "text", "text": plain}]
    texts: list[str] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        text = {**MARKERS, "text": part.get("text")}.get(kind) if isinstance(kind, str) else None
        check_text(text, "content", owner)
        texts.append(str(text))
    return "".join(texts)


def placed(row: Mapping[str, Any], spoken: list[Turn], owner: str) -> Iterator[Turn]:
    """Put the names and boxes of ms-swift's ``objects`` where the turns have ``<ref-object>`` and ``<bbox>``.

    Raises:
        InputError: If they do not fit, or the boxes are no pixels.
    """
    objects = row.get("objects") or {}
    if not isinstance(objects, dict) or not all(isinstance(objects.get(key, []), list) for key in ("ref", "bbox")):
        raise InputError(
            f"{owner}: expected `objects` to hold lists `ref` and `bbox`, but got {reprlib.repr(objects)}."
        )
    if objects.get("bbox_type", "real") != "real":
        kind = reprlib.repr(objects["bbox_type"])
        raise InputError(f"{owner}: expected boxes in pixels (`bbox_type: real`), but got {kind}. Convert them first.")
    left = {"<ref-object>": list(objects.get("ref", [])), "<bbox>": list(objects.get("bbox", []))}

    def fill(match: re.Match[str]) -> str:
        if not left[match[0]]:
            raise InputError(f"{owner}: expected an object for each `{match[0]}`, but there are too few.")
        value = left[match[0]].pop(0)
        return value if isinstance(value, str) else json.dumps(value)

    for role, text in spoken:
        yield role, _PLACES.sub(fill, text)


def answer_of(row: Mapping[str, Any], said: list[str], owner: str, column: str | None) -> tuple[Any, str | None]:
    """The answer of a row and its chain of thought, if there is one.

    Raises:
        InputError: If there is no answer.
    """
    name = column or next((key for key in ANSWERS if row.get(key) not in (None, "")), None)
    value = row.get(name) if name is not None else said[0] if said else None
    if isinstance(value, list) and value and all(isinstance(part, dict) and "bbox_2d" not in part for part in value):
        value = next((text for role, text in turns({"messages": value}, owner) if role == "assistant"), value)
    if value in (None, ""):
        wanted = (
            f"an answer in `{column}`" if column else f"an answer in one of {list(ANSWERS)}, or a turn that answers"
        )
        raise InputError(f"{owner}: expected {wanted}, but there is none.")
    if not isinstance(value, str):
        return boxes_of(value, owner), None
    check_text(value, "answer", owner)
    answer, cot = split_answer(value, owner)
    return boxes_of(answer, owner), cot


def boxes_of(answer: Any, owner: str) -> Any:
    """The boxes of an answer that is objects as Qwen2.5-VL writes them, ``[{"bbox_2d": [...]}]``; else the answer.

    One is a box, several are the list that `Detection` reads, if they are of one label.
    """
    value = answer
    if isinstance(answer, str):
        fenced = _FENCED.fullmatch(answer)
        try:
            value = json.loads(fenced[1] if fenced else answer)
        except (ValueError, RecursionError):
            return answer
    match value:
        case [{"bbox_2d": box}] | {"bbox_2d": box}:
            return corners(box)
    if not (isinstance(value, list) and value and all(isinstance(part, dict) and "bbox_2d" in part for part in value)):
        return answer
    if len(labels := {str(part.get("label")) for part in value}) > 1:
        raise InputError(
            f"{owner}: expected objects of one label, which the question names, but got "
            f"{reprlib.repr(sorted(labels))}. Write a row for each, or a COCO file."
        )
    return [{"Position": corners(part["bbox_2d"])} for part in value]


def check_numbers(row: Mapping[str, Any], owner: str) -> None:
    """Raise `InputError` for what JSON has no number for, and for numbers that are neither one, a point nor a box."""
    answer = row["answer"]
    numbers, counts = (answer, (2, 4)) if isinstance(answer, list) else ([answer], (1,))
    alone = bool(numbers) and all(isinstance(number, int | float) for number in numbers)
    if alone and (len(numbers) not in counts or not all(map(is_number, numbers))):
        wanted = "a text, a finite number, a point or a box"
        raise InputError(f"{owner}: expected the answer to be {wanted}, but got {reprlib.repr(answer)}.")
    for key, value in row.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            got = reprlib.repr(value)
            raise InputError(f"{owner}: expected finite numbers in `{key}`, but got {got}.") from error


def kind(answer: Any) -> str:
    """What an answer looks like: ``number``, ``box``, ``objects`` or ``text``."""
    if isinstance(answer, str):
        number, box = plain_number(answer), written_box(answer)
        return "number" if number is not None else "box" if box is not None else "text"
    if is_number(answer):
        return "number"
    if isinstance(answer, list) and all(isinstance(part, dict) for part in answer):
        return "objects"
    return "box" if isinstance(answer, list) and len(answer) == 4 and all(map(is_number, answer)) else "text"

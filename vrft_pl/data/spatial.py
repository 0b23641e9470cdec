"""Spatial transformation: the answer is the calls that turn the first picture into the second (TRANCE, or scenes)."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from typing import Any

from vrft_pl.answers import Call, Solution, Transformation
from vrft_pl.data.base import VisionTask
from vrft_pl.data.sources import Record
from vrft_pl.data.written import untagged
from vrft_pl.types import InputError

FUNCTIONS = ("change_size", "change_color", "change_material", "change_shape", "change_position")
"""Those of TRANCE."""
_NAME = re.compile(r"[A-Za-z_]\w*+", re.ASCII)
_ARGUMENT = r"[\w.+-]++"
_PLACE = r"[\w.+,\s-]++"
_CALL = re.compile(
    rf"""(?P<mark>['"]?+)(?P<function>[A-Za-z_]\w*+)
    \(\s*+(?P<mark_1>['"]?+)(?P<object>{_ARGUMENT})(?P=mark_1)\s*+,
    \s*+(?P<mark_2>['"]?+)(?P<value>{_ARGUMENT}(?>(?:[ ]{_ARGUMENT})*)|\({_PLACE}\)|\[{_PLACE}\])(?P=mark_2)\s*+\)
    (?P=mark)""",
    re.ASCII | re.VERBOSE,
)
_SEPARATOR = re.compile(r"\s*+[,;]?+\s*+")


class Spatial(VisionTask):
    """Questions about two pictures, whose answer is the changes between them.

    Args:
        *args: Those of `VisionTask`.
        functions: The changes that there are.
        max_calls: Most calls of an answer.
        **kwargs: Those of `VisionTask`.

    Raises:
        ValueError: If ``functions`` holds no name or something else, or ``max_calls`` is below 1.

    Example:
        >>> from vrft_pl.data import Spatial, SpatialScenes
        >>> record = SpatialScenes(max_calls=1)[0]
        >>> record.answer, Spatial().solution(record).calls
        ('change_shape(0, square)', (Call(function='change_shape', object='0', value='square'),))
    """

    def __init__(self, *args: Any, functions: Sequence[str] = FUNCTIONS, max_calls: int = 4, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not functions or not all(_NAME.fullmatch(name) for name in functions):
            raise ValueError(f"Expected `functions` to be names of functions, but got {list(functions)}.")
        if max_calls < 1:
            raise ValueError(f"Expected `max_calls` to be at least 1, but got {max_calls}.")
        self.functions, self.max_calls = tuple(functions), max_calls

    def solution(self, record: Record) -> Solution:
        """Read the answer: calls as text, with or without ``<answer>`` tags, or a list of such, or a `Transformation`.

        Raises:
            InputError: If it is none of these, has an unknown function or too many calls, or there are not two
                pictures.
        """
        if len(record.images) != 2:
            raise InputError(
                f"{record.id}: expected two pictures, the first and the last state, but got {len(record.images)}."
            )
        answer = record.answer
        calls = answer.calls if isinstance(answer, Transformation) else written_calls(answer)
        if not calls:
            raise InputError(
                f"{record.id}: expected calls such as `{self.functions[0]}(object, value)`, separated by commas, "
                f"but got {reprlib.repr(answer)}."
            )
        if unknown := [call.function for call in calls if call.function not in self.functions]:
            raise InputError(
                f"{record.id}: expected calls of {', '.join(self.functions)}, but got {unknown[0][:80]!r}."
            )
        if len(calls) > self.max_calls:
            raise InputError(f"{record.id}: expected at most {self.max_calls} calls, but got {len(calls)}.")
        return Transformation(calls)


def written_calls(answer: Any) -> tuple[Call, ...]:
    """Read calls ``function(object, value)`` with nothing but commas, semicolons or blanks between them.

    Args:
        answer: Text, in brackets of a list or not, or a list of texts.

    Returns:
        The calls without quotes; none where anything else is in the answer.

    Example:
        >>> written_calls("['change_size(0, large)', 'change_position(3, (1, -1))']")[1]
        Call(function='change_position', object='3', value='(1, -1)')
        >>> written_calls("change_size(0, large) or nothing")
        ()
    """
    if isinstance(answer, list | tuple) and all(isinstance(text, str) for text in answer):
        parts = [written_calls(text) for text in answer]
        return tuple(call for part in parts for call in part) if all(parts) else ()
    if not isinstance(answer, str):
        return ()
    text = untagged(answer)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    calls, position = [], 0
    while position < len(text):
        mark = _CALL.match(text, position)
        if mark is None:
            return ()
        calls.append(Call(mark["function"], mark["object"], mark["value"]))
        separator = _SEPARATOR.match(text, mark.end())
        assert separator is not None
        position = separator.end()
    return tuple(calls)

"""Whether answered steps turn the first picture into the second."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from scipy.optimize import linear_sum_assignment

from vrft_pl.answers import AnswerFrame, Call, Transformation
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import Unread, normalize_argument, parse_calls, read_answer
from vrft_pl.styles import AnswerStyle, StyleName
from vrft_pl.types import Sample


class Credits(NamedTuple):
    """What a pair of an answered and a true call is worth, in quarters: whole numbers sum without rounding."""

    full: int
    object: int
    """Function and object agree, the value does not."""
    value: int
    """Function and value agree, the object does not."""
    function: int
    """Only the function agrees."""


PLAIN = Credits(4, 2, 2, 1)
FULL_ONLY = Credits(4, 0, 0, 0)
PENALISED = Credits(4, -1, -1, -2)


def pair_credit(answered: Call, true: Call, credits: Credits) -> int:
    """Credit of one answered call as one true one, in quarters."""
    if answered.function != true.function:
        return 0
    if answered.object == true.object:
        return credits.full if answered.value == true.value else credits.object
    return credits.value if answered.value == true.value else credits.function


def transformation_credit(
    answered: Sequence[Call], true: Sequence[Call], partial: bool = True, penalty: bool = False
) -> float:
    """Pair answered with true calls, one to one, and take the mean credit over the longer of both lists.

    The pairing is one of the largest total of plain credits. All such have equally many full matches (one that is left
    out could replace two partial ones), and as many pairs as the functions allow, so their penalised totals are equal
    too: the result depends neither on the order of writing nor on that of the ground truth.

    Args:
        answered: The answered calls, in one form of writing with the true ones.
        true: The true calls.
        partial: See `TransformationMatch`.
        penalty: See `TransformationMatch`.

    Returns:
        A credit in [0, 1], or in [-0.5, 1] with ``penalty``. Two empty lists are equal.

    Example:
        >>> true = [Call("change_color", "2", "red"), Call("change_size", "1", "small")]
        >>> transformation_credit([Call("change_size", "1", "small"), Call("change_color", "2", "blue")], true)
        0.75
    """
    if Counter(answered) == Counter(true):
        return 1.0
    longer = max(len(answered), len(true))
    # more copies than there are true calls, and functions that are none of theirs, are never paired for a credit
    functions = {call.function for call in true}
    copies = Counter(call for call in answered if call.function in functions)
    rivals = [call for call, count in copies.items() for _ in range(min(count, len(true)))]
    if not rivals:
        return 0.0
    credits = PLAIN if partial else FULL_ONLY
    pairs = linear_sum_assignment([[pair_credit(a, t, credits) for t in true] for a in rivals], maximize=True)
    paid = PENALISED if penalty else credits
    return sum(pair_credit(rivals[row], true[column], paid) for row, column in zip(*pairs, strict=True)) / 4 / longer


@lru_cache(maxsize=4096)
def canonical_calls(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Bring true calls into the form in which answered ones are read: see `normalize_argument`."""
    return tuple(Call(c.function.lower(), normalize_argument(c.object), normalize_argument(c.value)) for c in calls)


_NUMBERED = re.compile(r"(?:obj|object)[_#]?([0-9]++)")
"""How models name an object that the question numbers, in the form of `normalize_argument`."""


def read_calls(text: str, style: AnswerStyle | StyleName, true: Sequence[Call] = ()) -> tuple[Call, ...] | Unread:
    """Read the calls of a completion; ``obj2`` is object 2, unless a true call names one so."""
    answer = read_answer(text, style)
    calls = answer if isinstance(answer, Unread) else parse_calls(answer)
    if isinstance(calls, Unread) or any(_NUMBERED.fullmatch(call.object) for call in true):
        return calls
    numbers = [_NUMBERED.fullmatch(call.object) for call in calls]
    pairs = zip(calls, numbers, strict=True)
    return tuple(call if number is None else replace(call, object=number[1]) for call, number in pairs)


class TransformationMatch(Reward):
    """Credit of the answered calls, paired one to one with the true calls so that the total is the largest.

    A full match counts 1, function and object 0.5, function and value 0.5, the function alone 0.25; the total is
    divided by the number of answered or of true calls, whichever is larger. This is the function-based reward of
    Reason-RFT (https://arxiv.org/abs/2503.20752, sec. 3.3); there the pairs are formed greedily from a set and repeats
    shrink the score twice, here the pairing is optimal, so the order never matters, and a repeat is one more answered
    call. Case, blanks and quotes don't matter, ``1.0`` is ``1``, and ``obj2`` is object 2 where none is named so.

    Args:
        partial: Whether calls that agree in part earn anything; ``False`` counts full matches only.
        penalty: Partial matches subtract: 0.25 where the object or the value is right, 0.5 for the function alone. The
            pairs are those of the largest credit without penalty.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``penalty`` is asked for without ``partial``.

    Example:
        >>> from vrft_pl.types import Sample
        >>> truth = Transformation((Call("change_color", "2", "red"), Call("change_size", "1", "small")))
        >>> sample = Sample("1", (), "What changed?", truth, style="answer")
        >>> text = "change_size(1, small), change_color(3, red), change_shape(0, cube)"
        >>> [TransformationMatch(**form).grade_one(text, sample, None) for form in ({}, {"penalty": True})]
        [0.5, 0.25]
    """

    solution_type = Transformation
    bounds = (0.0, 1.0)

    def __init__(self, partial: bool = True, penalty: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if penalty and not partial:
            raise ValueError(
                "Expected `partial` to be true with `penalty`, but got false: only partial matches subtract."
            )
        self.partial, self.penalty = partial, penalty
        if penalty:
            self.bounds = (-0.5, 1.0)

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one list of calls."""
        assert isinstance(sample.solution, Transformation)
        true = canonical_calls(sample.solution.calls)
        calls = read_calls(text, sample.style, true)
        return calls if isinstance(calls, Unread) else transformation_credit(calls, true, self.partial, self.penalty)


class TransformationExact(Reward):
    """1 when the answered calls are the true ones, each as often, in any order; else 0.

    Args:
        **kwargs: Those of `Reward`.

    Example:
        >>> from vrft_pl.types import Sample
        >>> truth = Transformation((Call("change_color", "2", "red"), Call("change_size", "1", "small")))
        >>> sample = Sample("1", (), "What changed?", truth, style="answer")
        >>> texts = ("change_size(1, small), change_color(2, 'red')", "change_color(2, red)")
        >>> [TransformationExact().grade_one(text, sample, None) for text in texts]
        [1.0, 0.0]
    """

    solution_type = Transformation
    bounds = (0.0, 1.0)

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one list of calls."""
        assert isinstance(sample.solution, Transformation)
        true = canonical_calls(sample.solution.calls)
        calls = read_calls(text, sample.style, true)
        return calls if isinstance(calls, Unread) else float(Counter(calls) == Counter(true))

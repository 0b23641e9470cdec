"""Whether mathematics is right."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from vrft_pl.answers import AnswerFrame, Expression, Number
from vrft_pl.rewards.answer import ShortAnswer
from vrft_pl.rewards.math_process import WORKER
from vrft_pl.rewards.parsing import Quantity, Unread, parse_expression, parse_number, unwrap
from vrft_pl.rewards.parsing.mathematics import (
    MAX_EXPRESSION,
    Parts,
    split_parts,
    split_unit,
    translate,
    unsafe,
    without_brackets,
)
from vrft_pl.rewards.parsing.number import MATH_UNITS, NUMBER_UNITS, in_unit
from vrft_pl.rewards.parsing.rewritten import (
    approximations,
    equal_sides,
    matrix,
    named_values,
    products,
    same_primes,
    same_words,
    tidy,
    told_apart,
    without_point_names,
    without_words,
)
from vrft_pl.rewards.parsing.width import narrow
from vrft_pl.types import Sample

Matrix = tuple[tuple[str, ...], ...]
_MAX_CELLS = 16
"""Cells of a matrix that are compared."""
_MAX_PARTS = 8
"""Parts of a point or set that are compared one by one."""
_BLANKS = re.compile(r"\s++(?![0-9])|(?<![0-9\s])\s++")
_VARIABLES = "abcdghklmnopqrstuvwxyz"
"""What factors of a ground truth may be called."""
_DECIMAL = re.compile(r"[+-]?[0-9]++(?:\.([0-9]*+))?")
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)")
_BASED = re.compile(r"[0-9]\s*+_")
"""A number in another base, which the parser would read as a decimal one."""
_LISTLESS = re.compile(r"[<>]|\\(?:leq?|geq?|in|pm|mp)(?![a-z])")
"""What may equal a list without being one: an inequality is an interval, plus or minus is two values."""


class MathMatch(ShortAnswer):
    r"""1 when the answer is mathematically equal to the ground truth by math-verify, else 0 (Reason-RFT, sec. 3.3).

    Only the content of the answer is compared, as a whole: one expression and nothing around it (math-verify itself
    takes the last expression of any text). Units may be left out; ``5 m`` is ``500 cm``, and other two are never equal.
    Case matters, but for a truth that is one capital letter. Comparison runs in a process of its own under a limit of
    CPU time, which works on any thread; what exceeds it scores 0 and counts as ``timeout``. The parser is many times
    slower on forms that it has not seen, so that a right answer in a rare form may be lost once. An answer that is
    right in numbers gets ten times the limit for its proof.

    Args:
        time_limit: Seconds of CPU for one comparison.
        **kwargs: Those of `ShortAnswer`.

    Raises:
        ValueError: If ``time_limit`` is not positive.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "What is the area?", Expression(r"6\sqrt{3}"), style="answer")
        >>> reward = MathMatch()
        >>> answers = (r"$\sqrt{108}$ ", r"6\sqrt{3} \text{ cm}^2", "10", "not 3")
        >>> [reward.grade_one(answer, sample, None) for answer in answers]
        [1.0, 1.0, 0.0, <Unread.MALFORMED: 'malformed'>]
    """

    solution_type = (Expression, Number)

    def __init__(self, time_limit: float = 0.025, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < time_limit < float("inf"):
            raise ValueError(f"Expected `time_limit` to be a positive number of seconds, but got {time_limit}.")
        self.time_limit = time_limit

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread:
        """Judge one answer."""
        assert isinstance(sample.solution, Expression | Number)
        answer = self.read(text, sample)
        if isinstance(answer, Unread):
            return answer
        answer = parse_expression(answer)
        if isinstance(answer, Unread):
            return answer
        match sample.solution:
            case Number(value, unit):
                truth = repr(value) if unit is None else f"{value!r} {unit}"
            case Expression(truth):
                pass
        return compare(truth, answer, self.time_limit)


def compare(truth: str, answer: str, time_limit: float) -> float | Unread:
    """Compare two expressions. What took too long is asked again the next time: the parser is faster then.

    Args:
        truth: Ground truth.
        answer: What the policy wrote, without what stands around it.
        time_limit: Seconds of CPU.

    Returns:
        1 if they are equal, 0 if not, or why the answer is no expression.
    """
    try:
        return _compare(truth, answer, time_limit)
    except TimeoutError:
        return Unread.TIMEOUT


def forget() -> None:
    """Forget the comparisons of this process."""
    _compare.cache_clear()


@lru_cache(maxsize=65_536)
def _compare(truth: str, answer: str, time_limit: float) -> float | Unread:
    """`compare`; raises `TimeoutError`, which is not remembered."""
    if _blankless(truth) == _blankless(answer):
        return 1.0
    truth, answer = tidy(unwrap(narrow(truth))), tidy(answer)
    if _blankless(truth) == _blankless(answer):
        return 1.0
    if (same := same_quantity(truth, answer)) is not None:
        return same if isinstance(same, Unread) else float(same)
    if (same := same_words(truth, answer)) is not None:
        return float(same)
    wanted, sides = approximations(truth), approximations(answer)
    if len(sides) > 1 or len(wanted) > 1:
        return _compare_sides(wanted, sides, time_limit, rounded=True)
    answer = sides[0]
    if len(sides := equal_sides(answer)) > 1:
        return _compare_sides(wanted, sides, time_limit, rounded=False)
    return _compare_expressions(*without_words(truth, answer), time_limit)


def same_quantity(truth: str, answer: str) -> bool | Unread | None:
    """Whether two numbers with their units agree, as ``5 m`` and ``500 cm`` do; ``None`` where one is no number."""
    left, right = parse_number(truth, units=MATH_UNITS), parse_number(answer, units=NUMBER_UNITS)
    if right is Unread.NOT_FINITE:
        return right
    if isinstance(left, Unread) or isinstance(right, Unread):
        return None
    values = [right.value]
    if right.unit == "%" != left.unit:  # a percentage of its own is a hundredth
        values = [right.value / 100]
    elif left.unit == "%" and right.unit is None:  # where one is asked for, its sign may be left out, or meant
        values.append(100 * right.value)
    same_unit = left.unit is None or right.unit in (None, left.unit)
    if not same_unit and (converted := in_unit(right, left.unit)) is not None:
        values, same_unit = [converted], True
    return same_unit and any(math.isclose(left.value, value, rel_tol=1e-9, abs_tol=1e-9) for value in values)


def _compare_sides(wanted: list[str], sides: list[str], time_limit: float, rounded: bool) -> float | Unread:
    """Compare what equals each other, or is the rounded form: all sides of an answer are to agree, and one to be right.

    Where all are decimal numbers, only the first counts: two guesses are not one answer.
    """
    if len(sides) > _MAX_PARTS or not all(sides):
        return Unread.MALFORMED
    first = _EQUALS.split(sides[0])[-1].strip()
    for side in sides[1:]:
        if problem := unsafe(translate(first)) or unsafe(translate(side)):
            return problem
        if _blankless(first) != _blankless(side) and not _agree(first, side, time_limit, rounded):
            return 0.0
    counted = sides[:1] if all(map(_DECIMAL.fullmatch, sides)) else sides
    verdicts = [_compare(one, side, time_limit) for one in wanted for side in counted]
    return max((v for v in verdicts if not isinstance(v, Unread)), default=verdicts[0])


def _agree(first: str, side: str, time_limit: float, rounded: bool) -> bool:
    """Whether two sides of an answer are equal, or one is the other rounded to the decimals that it has."""
    decimals = [len(found[1] or "") for text in (first, side) if (found := _DECIMAL.fullmatch(text))]
    tolerance = 0.501 * 10.0 ** -min(decimals) if rounded and decimals else None
    return _asked(translate(first), translate(side), time_limit, tolerance) == 1.0


def _compare_expressions(truth: str, answer: str, time_limit: float) -> float | Unread:
    """Compare two formulas, points, sets or matrices, with or without units."""
    rows, others = matrix(truth), matrix(answer)
    if rows is not None and others is not None:
        return _compare_matrices(rows, others, time_limit)
    number = parse_number(answer)
    if isinstance(number, Quantity) and (number.unit == "%" or "e" in answer.lower() and number.unit is None):
        answer = format(Decimal(repr(number.value)) / (100 if number.unit == "%" else 1), "f")
    (truth, truth_unit), (answer, answer_unit) = (
        split_unit(without_point_names(translate(text))) for text in (truth, answer)
    )
    truth, answer = without_brackets(products(truth, _VARIABLES)), without_brackets(products(answer))
    several = split_parts(truth), split_parts(answer)
    if _blankless(truth) != _blankless(answer):
        parts = [answer] if several[1] is None or len(answer) > MAX_EXPRESSION else several[1].items
        if problem := next(filter(None, map(unsafe, parts)), None):
            return problem
    if truth_unit is not None and answer_unit is not None and truth_unit != answer_unit:
        return 0.0
    if _blankless(truth) == _blankless(answer):
        return 1.0
    if len(truth) == 1 and answer.upper() == truth:  # a letter that names something may be small; `N` for `n` is wrong
        return 1.0
    if _BASED.search(truth):
        return 0.0
    if not _LISTLESS.search(truth + answer):
        if ("," in truth) != ("," in answer):
            return 0.0
        if any(several) and (same := same_parts(*several, time_limit)) is not None:
            return float(same)
    return _asked(truth, answer, time_limit)


def _compare_matrices(truth: Matrix, answer: Matrix, time_limit: float) -> float | Unread:
    """Compare cell by cell."""
    if list(map(len, truth)) != list(map(len, answer)) or sum(map(len, truth)) > _MAX_CELLS:
        return 0.0
    pairs = [pair for rows in zip(truth, answer, strict=True) for pair in zip(*rows, strict=True)]
    return float(all(_compare(*pair, time_limit) == 1.0 for pair in pairs))


def _asked(truth: str, answer: str, time_limit: float, tolerance: float | None = None) -> float | Unread:
    if not same_primes(truth, answer):
        return 0.0
    verdict = WORKER.ask(*told_apart(truth, answer), time_limit, tolerance)
    if verdict is Unread.TIMEOUT:
        raise TimeoutError
    return verdict if isinstance(verdict, Unread) else float(verdict)


def _blankless(text: str) -> str:
    """The text without blanks, but for those between two digits."""
    return _BLANKS.sub("", text)


def same_parts(truth: Parts | None, answer: Parts | None, time_limit: float) -> bool | None:
    """Compare points and sets part by part, which takes a millisecond each where math-verify takes eighty for both.

    Returns:
        Whether they are equal; ``None`` where they have as many parts, and too many to compare one by one.
    """
    if truth is None or answer is None or len(truth.items) != len(answer.items):
        return False
    if len(truth.items) > _MAX_PARTS:
        return None
    kinds = {truth.kind, answer.kind} - {""}
    if len(kinds) == 2:
        return False
    items, others, ordered = _values(truth.items, answer.items)
    rest = list(others)
    for part in items:
        candidates = rest[:1] if ordered or kinds & {"(", "["} else rest
        same = next((item for item in candidates if _compare(part, item, time_limit) == 1.0), None)
        if same is None:
            return False
        rest.remove(same)
    return True


def _values(truth: tuple[str, ...], answer: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Solutions without the names before them, where that loses nothing, and whether their order then matters."""
    left, right = named_values(truth), named_values(answer)
    if left is not None and right is not None:
        alike = sorted(left[0]) == sorted(right[0]) and len(set(left[0])) == 1
        return (left[1], right[1], False) if alike else (truth, answer, False)
    named = left or right
    if named is None:
        return truth, answer, False
    several = len({name.partition("_")[0] for name in named[0]}) > 1
    return (left[1] if left else truth), (right[1] if right else answer), several

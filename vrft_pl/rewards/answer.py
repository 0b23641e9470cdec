"""Whether an answer is right."""

from __future__ import annotations

import math
from typing import Any, get_args

from vrft_pl.answers import AnswerFrame, Choice, Label, Number
from vrft_pl.names import normalize_name
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import Unread, parse_choice, parse_label, parse_number, read_answer
from vrft_pl.rewards.parsing.number import Quantity, read_unit, units_for
from vrft_pl.rewards.parsing.prose import Prose, counted, without_prose
from vrft_pl.rewards.parsing.text import parse_sentence_of_choice
from vrft_pl.types import Sample


class ShortAnswer(Reward):
    """Reads an answer of a few words; has subclasses.

    Args:
        prose: ``strict`` reads the answer and nothing around it. ``lenient`` also reads what stands in one of a few
            sentences: ``The answer is 3.``, ``Answer: 3``, ``There are 3``, ``x = 3``, of a number ``3 objects``, and
            of a letter ``Option B is correct`` and ``B because it is longer``.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``prose`` is something else.
    """

    bounds = (0.0, 1.0)
    named = True
    """Whether ``x =`` before an answer is a name for it."""

    def __init__(self, prose: Prose = "strict", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if prose not in get_args(Prose):
            raise ValueError(f"Expected `prose` to be `strict` or `lenient`, but got {prose!r}.")
        self.prose, self.lenient = prose, prose == "lenient"

    def read(self, text: str, sample: Sample) -> str | Unread:
        """The answer of a completion, taken out of its sentence where that is asked for."""
        answer = read_answer(text, sample.style)
        return without_prose(answer, self.named) if self.lenient and isinstance(answer, str) else answer


class NumberMatch(ShortAnswer):
    """1 when the answer is a number equal to the ground truth, else 0; text around the number is never ignored.

    Numbers are equal when they differ by at most 1e-9, or one part in 10^9: ``3``, ``3.0`` and ``3.`` are one answer. A
    unit may be left out. One that is written must be that of the ground truth, in any spelling and without conversion;
    where the ground truth has none, it may be any of `vrft_pl.rewards.parsing.number.NUMBER_UNITS` but ``%``. A unit of
    the ground truth that is not known there is read as it is spelled.

    Args:
        words: Also read ``zero`` to ``twenty``.
        **kwargs: Those of `ShortAnswer`.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "How long?", Number(3, "cm"))
        >>> answers = ("3.0", "3 cm", "3 km", "4", "not 3")
        >>> [NumberMatch().grade_one(f"<think>3</think><answer>{a}</answer>", sample, None) for a in answers]
        [1.0, 1.0, 0.0, 0.0, <Unread.MALFORMED: 'malformed'>]
    """

    solution_type = Number

    def __init__(self, words: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one answer."""
        assert isinstance(sample.solution, Number)
        answer = self.read(text, sample)
        if isinstance(answer, Unread):
            return answer
        expected = sample.solution.unit
        units = units_for(expected)
        quantity = parse_number(answer, self.words, units)
        if quantity is Unread.MALFORMED and self.lenient and (number := counted(answer)):
            quantity = parse_number(number, self.words)
            quantity = quantity if isinstance(quantity, Unread) else Quantity(quantity.value, "piece")
        if isinstance(quantity, Unread):
            return quantity
        value, unit = quantity
        fits = unit is None or (unit != "%" if expected is None else unit == read_unit(expected, units))
        return self.credit(value, sample.solution.value) if fits else 0.0

    def credit(self, value: float, truth: float) -> float:
        """Judge a finite number against a finite ground truth."""
        return float(math.isclose(value, truth, rel_tol=1e-9, abs_tol=1e-9))


class GradedNumber(NumberMatch):
    r"""Credit that falls with the relative error :math:`e` along a half cosine, from 1 to 0.

    .. math:: \tfrac{1}{2} \left(1 + \cos \pi \frac{e - t}{z - t}\right)

    between the tolerance :math:`t` and :math:`z`, 1 before and 0 after (Reason-RFT, https://arxiv.org/abs/2503.20752,
    ``math_accuracy_reward`` of its code, with the defaults here). Deviations: where the ground truth is a whole number
    the tolerance is 0, so that a wrong count never earns full credit; where it is 0, an answer is right or earns
    nothing. Units as in `NumberMatch`.

    Args:
        tolerance: Relative error up to which an answer is right, for a ground truth that is no whole number.
        zero_at: Relative error from which an answer earns nothing.
        **kwargs: Those of `NumberMatch`.

    Raises:
        ValueError: If not 0 <= ``tolerance`` < ``zero_at``, or ``zero_at`` is not finite.

    Example:
        >>> reward = GradedNumber()
        >>> [round(reward.credit(value, 20.5), 3) for value in (20.5, 21.5, 22.55, 23.575, 24.6)]
        [1.0, 1.0, 0.75, 0.25, 0.0]
        >>> [round(reward.credit(value, 20), 3) for value in (20, 21, 22, 24)]
        [1.0, 0.854, 0.5, 0.0]
    """

    def __init__(self, tolerance: float = 0.05, zero_at: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= tolerance < zero_at < math.inf:
            raise ValueError(
                "Expected relative errors 0 <= `tolerance` < `zero_at`, "
                f"but got `tolerance` {tolerance} and `zero_at` {zero_at}."
            )
        self.tolerance, self.zero_at = tolerance, zero_at

    def credit(self, value: float, truth: float) -> float:
        """Judge a finite number against a finite ground truth."""
        if super().credit(value, truth):
            return 1.0
        error = abs(value - truth) / abs(truth) if truth else math.inf
        start = 0.0 if float(truth).is_integer() else self.tolerance
        if error <= start or error >= self.zero_at:
            return float(error <= start)
        return 0.5 * (1 + math.cos(math.pi * (error - start) / (self.zero_at - start)))


class ChoiceMatch(ShortAnswer):
    """1 when the answer is the letter of the right option, else 0; several letters are no answer.

    Args:
        **kwargs: Those of `ShortAnswer`.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "How long?", Choice("B"), style="answer")
        >>> [ChoiceMatch().grade_one(text, sample, None) for text in ("(b)", "B. 35 cm", "A", "A or B")]
        [1.0, 1.0, 0.0, <Unread.AMBIGUOUS: 'ambiguous'>]
    """

    solution_type = Choice
    named = False

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one answer."""
        assert isinstance(sample.solution, Choice)
        answer = self.read(text, sample)
        if isinstance(answer, Unread):
            return answer
        parse = parse_sentence_of_choice if self.lenient else parse_choice
        letter = parse(answer, sample.solution.options)
        return letter if isinstance(letter, Unread) else float(letter == sample.solution.letter)


class LabelMatch(ShortAnswer):
    """1 when the answer is the name of the class or one of its aliases, else 0.

    Names are compared in the form of `vrft_pl.names.normalize_name`, whole: a part of the name, or a list
    that holds it, is another name.

    Args:
        **kwargs: Those of `ShortAnswer`.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "Which flower?", Label("fire lily", aliases=("flame lily",)), style="answer")
        >>> texts = ("Fire-Lily.", "flame lily", "lily", "lily, fire lily")
        >>> [LabelMatch().grade_one(text, sample, None) for text in texts]
        [1.0, 1.0, 0.0, 0.0]
    """

    solution_type = Label

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one answer."""
        assert isinstance(sample.solution, Label)
        answer = self.read(text, sample)
        if isinstance(answer, Unread):
            return answer
        name = parse_label(answer)
        if isinstance(name, Unread):
            return name
        return float(any(name == normalize_name(n) for n in (sample.solution.name, *sample.solution.aliases)))

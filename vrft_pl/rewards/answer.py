"""Whether an answer is right."""

from __future__ import annotations

import math

from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import parse_number, read_answer
from vrft_pl.types import AnswerFrame, Number, Sample


class NumberMatch(Reward):
    """1 when the answer is a number equal to the ground truth, else 0; text around the number is never ignored.

    Numbers are equal when they differ by at most 1e-9, or one part in 10^9: ``3``, ``3.0`` and ``3.`` are one answer.

    Args:
        words: Also read ``zero`` to ``twenty``.
        weight: Factor in the training signal.
        name: Name in logs.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "How many?", Number(3))
        >>> reward = NumberMatch()
        >>> [reward.grade_one(f"<think>3</think><answer>{a}</answer>", sample, None) for a in ("3.0", "4", "not 3")]
        [1.0, 0.0, None]
    """

    solution_type = Number

    def __init__(self, words: bool = False, weight: float = 1.0, name: str | None = None) -> None:
        super().__init__(weight, name)
        self.words = words

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | None:
        """Judge one answer."""
        assert isinstance(sample.solution, Number)
        answer = read_answer(text, sample.style)
        value = None if answer is None else parse_number(answer, self.words)
        if value is None:
            return None
        return float(math.isclose(value, sample.solution.value, rel_tol=1e-9, abs_tol=1e-9))

"""Whether an answer is right."""

from __future__ import annotations

import math
from typing import Any

from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import Unread, parse_number, read_answer
from vrft_pl.solutions import Number
from vrft_pl.types import AnswerFrame, Sample


class NumberMatch(Reward):
    """1 when the answer is a number equal to the ground truth, else 0; text around the number is never ignored.

    Numbers are equal when they differ by at most 1e-9, or one part in 10^9: ``3``, ``3.0`` and ``3.`` are one answer.

    Args:
        words: Also read ``zero`` to ``twenty``.
        **kwargs: Those of `Reward`.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "How many?", Number(3))
        >>> reward = NumberMatch()
        >>> [reward.grade_one(f"<think>3</think><answer>{a}</answer>", sample, None) for a in ("3.0", "4", "not 3")]
        [1.0, 0.0, None]
    """

    solution_type = Number
    bounds = (0.0, 1.0)

    def __init__(self, words: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread | None:
        """Judge one answer."""
        assert isinstance(sample.solution, Number)
        answer = read_answer(text, sample.style)
        if isinstance(answer, Unread):
            return answer
        quantity = parse_number(answer, self.words)
        if isinstance(quantity, Unread):
            return quantity
        value = quantity.value
        return float(math.isclose(value, sample.solution.value, rel_tol=1e-9, abs_tol=1e-9))

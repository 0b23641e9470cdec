"""How long a completion may be, in tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from vrft_pl.rewards.base import Grades, Reward
from vrft_pl.types import Completions, Sample


def group_slices(samples: Sequence[Sample]) -> Iterator[slice]:
    """The groups of completions that answer one prompt: runs of the same `Sample` object."""
    start = 0
    for _, run in groupby(samples, key=id):
        stop = start + sum(1 for _ in run)
        yield slice(start, stop)
        start = stop


def length_score(length: int, shortest: int, longest: int, correct: bool) -> float:
    """Kimi k1.5's length reward of one completion of a group, in [-0.5, 0.5].

    Example:
        >>> [length_score(30, 10, 50, correct) for correct in (True, False)]
        [0.0, 0.0]
        >>> [length_score(10, 10, 50, correct) for correct in (True, False)]
        [0.5, 0.0]
    """
    if shortest == longest:
        return 0.0
    score = 0.5 - (length - shortest) / (longest - shortest)
    return score if correct else min(0.0, score)


class LengthPenalty(Reward):
    """Prefers the shorter of several right answers to one prompt.

    The length reward of Kimi k1.5 (https://arxiv.org/abs/2501.12599, sec. 2.3.3), in tokens within the group of a
    prompt: ``0.5 - (length - shortest) / (longest - shortest)`` for a right answer, the same but at most 0 for a wrong
    one, and 0 where all lengths are equal. The paper warms up without it: set ``start``. Reason-RFT counts characters,
    takes shortest and longest over the local batch, and uses a weight of 0.05 after 800 steps.

    A group is a run of completions of the same `Sample` object, so two groups of one object beside each other would be
    one; a prompt that is drawn again is another object. Alone in its group, as in greedy evaluation, a completion
    scores 0.

    Args:
        correct: Says which answers are right: those that score 1. Its own weight is not used.
        **kwargs: Those of `Reward`.

    Example:
        >>> from vrft_pl.rewards import NumberMatch
        >>> LengthPenalty(NumberMatch(), weight=0.05, start=800).bounds
        (-0.5, 0.5)
    """

    bounds = (-0.5, 0.5)
    reads_answers = False

    def __init__(self, correct: Reward, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.correct = correct
        self.solution_type, self.costs = correct.solution_type, correct.costs

    def judges(self, sample: Sample) -> bool:
        """Whether the answer can be right or wrong."""
        return self.correct.judges(sample)

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Compare the lengths of each group."""
        correct = (self.correct.grade(completions, samples).scores >= 1).tolist()
        lengths = completions.mask.sum(dim=1).tolist()
        scores = []
        for group in group_slices(samples):
            shortest, longest = min(lengths[group]), max(lengths[group])
            rows = zip(lengths[group], correct[group], samples[group], strict=True)
            scores += [length_score(n, shortest, longest, c) if self.judges(sample) else 0.0 for n, c, sample in rows]
        return self.verdict(scores, completions, samples)


class Overlong(Reward):
    """DAPO's soft punishment of completions near the token limit (https://arxiv.org/abs/2503.14476, eq. 13).

    0 up to ``max_tokens - buffer`` tokens, from there falling in a line to -1 at ``max_tokens``, and -1 beyond. A
    completion that was cut at the limit of the sampler scores -1 whatever its length; in the paper both limits are one.

    Args:
        max_tokens: Tokens from which the punishment is full, the end token included; at most those that the sampler
            draws (``params.max_tokens``), or only cut completions are punished in full.
        buffer: Tokens below ``max_tokens`` over which it grows.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``buffer`` is not in [1, ``max_tokens``].

    Example:
        >>> [Overlong(max_tokens=100, buffer=20).punish(length) for length in (80, 90, 100, 120)]
        [0.0, -0.5, -1.0, -1.0]
    """

    bounds = (-1.0, 0.0)
    reads_answers = False

    def __init__(self, max_tokens: int, buffer: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= buffer <= max_tokens:
            raise ValueError(f"Expected `buffer` to be from 1 to `max_tokens` = {max_tokens} tokens, but got {buffer}.")
        self.max_tokens, self.buffer = max_tokens, buffer

    def punish(self, length: int) -> float:
        """The score of a completion of ``length`` tokens that was not cut."""
        return max(-1.0, min(0.0, (self.max_tokens - self.buffer - length) / self.buffer))

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Judge the length of each completion."""
        lengths = completions.mask.sum(dim=1).tolist()
        rows = zip(lengths, completions.finish_reasons, strict=True)
        scores = [-1.0 if reason == "length" else self.punish(length) for length, reason in rows]
        return self.verdict(scores, completions, samples)

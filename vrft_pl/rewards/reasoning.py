"""How a policy thinks: in steps, without repeating itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from vrft_pl.answers import AnswerFrame
from vrft_pl.rewards.base import Grades, Reward
from vrft_pl.types import Completions, Sample

_MARK = (
    r"(?:step[ \t]{0,3}\d{1,3}[ \t]?[*]{0,2}[:.)]|\d{1,3}[.)](?=\s)"
    r"|(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|next|then|finally|lastly),)"
)
_START = re.compile(
    rf"(?:^[ \t#*>-]{{0,16}}+|(?<=[.!?]\s)[ \t*]{{0,4}}+)(?=[\dsftnl]){_MARK}", re.IGNORECASE | re.MULTILINE | re.ASCII
)
_INNER = re.compile(rf"\b(?=[\dsftnl]){_MARK}", re.IGNORECASE | re.ASCII)
_WORD = re.compile(r"\w+")
_MIN_WORDS = 3
_MAX_THOUGHTS = 32_768
"""Characters of the thoughts in which steps are looked for."""
_ENOUGH_STEPS = 3


def thoughts(text: str) -> str | None:
    """The start of the only ``<think>`` block; ``None`` where there is none, several, or one that is open."""
    if text.count("<think>") != 1 or text.count("</think>") != 1:
        return None
    _, _, rest = text.partition("<think>")
    content, closed, _ = rest.partition("</think>")
    return content[:_MAX_THOUGHTS] if closed else None


def step_contents(text: str) -> Iterator[str]:
    """What follows each mark of a step, up to the next one."""
    previous = None
    for mark in _START.finditer(text):
        if previous is not None:
            yield text[previous : mark.start()]
        previous = mark.end()
    if previous is not None:
        yield text[previous:]


def distinct_steps(text: str) -> Iterator[set[str]]:
    """The words of each step that has at least three, one of them in no step before."""
    seen: set[str] = set()
    for content in step_contents(text):
        if len(content) < 2 * _MIN_WORDS - 1:
            continue
        words = set(_WORD.findall(_INNER.sub(" ", content).lower()))
        if len(words) >= _MIN_WORDS and not words <= seen:
            seen |= words
            yield words


class ReasoningSteps(Reward):
    """Counts distinct enumerated steps inside the only ``<think>`` block: ``min(1, steps / 3)``.

    A step begins, at the start of a line or after a sentence, with ``Step 1:``, ``1.``, ``1)`` or one of ``First,``
    ``Second,`` ``Third,`` ``Next,`` ``Then,`` ``Finally,`` ``Lastly,``. Up to the next such mark it has at least three
    different words or numbers, one of which is in no step before it: marks alone earn nothing, and one sentence many
    times is one step. Without a ``<think>`` block, or with several, the score is 0. Reason-RFT's step reward
    (https://arxiv.org/abs/2503.20752) counts marks anywhere in the completion, and bullets, which enumerate nothing.

    It sees words, not sense: three lines of nonsense with marks before them earn 1. So its weight is small by default,
    and a right answer without steps is worth ten times as much as a wrong one with them.

    Args:
        weight: As in `Reward`; at 1 it would weigh as much as an answer.
        **kwargs: Those of `Reward`.

    Example:
        >>> texts = ("First, count the cubes: 3. Next, count the spheres: 2.", "First,Second,Next,")
        >>> [round(ReasoningSteps().grade_one(f"<think>{text}</think>", None, None), 3) for text in texts]
        [0.667, 0.0]
    """

    bounds = (0.0, 1.0)
    reads_answers = False

    def __init__(self, weight: float = 0.1, **kwargs: Any) -> None:
        super().__init__(weight, **kwargs)

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float:
        """Count the steps of one completion."""
        content = thoughts(text)
        steps = 0 if content is None else sum(1 for _ in islice(distinct_steps(content), _ENOUGH_STEPS))
        return steps / _ENOUGH_STEPS


def repeated_share(tokens: Sequence[int], ngram: int) -> float:
    """Share of the n-grams that were there before; 0 for a text shorter than one.

    Example:
        >>> repeated_share([1, 2, 1, 2, 1, 2], ngram=2)
        0.6
    """
    total = len(tokens) - ngram + 1
    if total < 1:
        return 0.0
    distinct = len(set(zip(*(islice(tokens, i, None) for i in range(ngram)), strict=False)))
    return (total - distinct) / total


class Repetition(Reward):
    """Punishes repeated n-grams of tokens: ``-(1 - distinct / total)``, 0 for a completion shorter than one n-gram.

    The penalty of Yeo et al. 2025 (https://arxiv.org/abs/2502.03373, algorithm 1), which falls on each repeated token
    there; here on the completion as a whole, as in open-r1, but over tokens in place of words.

    Args:
        ngram: Tokens of an n-gram.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If ``ngram`` is below 1.

    Example:
        >>> import torch
        >>> ids = torch.tensor([[1, 2, 1, 2, 1, 2], [1, 2, 3, 4, 0, 0]])
        >>> mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
        >>> completions = Completions(ids, mask, None, ("", ""), ("stop",) * 2, (None,) * 2)
        >>> Repetition(ngram=2).grade(completions, [Sample("1", (), "How many?", None)] * 2).scores
        tensor([-0.6000,  0.0000])
    """

    bounds = (-1.0, 0.0)
    reads_answers = False

    def __init__(self, ngram: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if ngram < 1:
            raise ValueError(f"Expected `ngram` to be at least 1 token, but got {ngram}.")
        self.ngram = ngram

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Judge each completion by its tokens."""
        rows = zip(completions.ids.tolist(), completions.mask.sum(dim=1).tolist(), strict=True)
        scores = [0.0 - repeated_share(tokens[:length], self.ngram) for tokens, length in rows]
        return self.verdict(scores, completions, samples)

"""How many answers are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from vrft_pl.answers import Choice, Label
from vrft_pl.metrics.collected import Collected, Row
from vrft_pl.metrics.interval import wilson_interval
from vrft_pl.names import normalize_name
from vrft_pl.rewards.base import Reward
from vrft_pl.types import Completions, Sample

_ROUNDING = 1e-6
"""How far a score may be below full credit, which is summed in single precision."""


class Verdict(NamedTuple):
    """What is kept of one answer."""

    right: bool
    read: bool
    choice: bool
    """Whether the truth is the letter of an option."""
    label: str | None
    """The true class, where the truth is one."""
    tags: tuple[str, ...]


class Accuracy(Collected):
    """Share of answers with full credit; an answer that can't be read is wrong.

    Logs ``<name>`` with its 95 % interval ``/low`` and ``/high`` (Wilson 1927; it takes samples to be independent),
    ``/class/<class>`` and their mean ``/per_class`` for class names, ``/choice`` and ``/other`` where the split holds
    both kinds, ``/tag/<tag>`` for each split tag, and ``parse_failures/<name>``.

    Args:
        reward: Judges the answers; its greatest score is full credit.
        name: Name in logs. Defaults to the name of the class.

    Raises:
        ValueError: If the reward has no greatest score.
    """

    def __init__(self, reward: Reward, name: str | None = None) -> None:
        super().__init__(name)
        if not math.isfinite(reward.bounds[1]):
            raise ValueError(f"Expected `reward` to have a greatest score, but `{reward.name}` has none.")
        self.reward = reward

    def judges(self, sample: Sample) -> bool:
        """Whether the reward can judge the sample."""
        return self.reward.judges(sample)

    def values_of(self, completions: Completions, samples: Sequence[Sample]) -> list[Verdict]:
        """Whether each answer is right."""
        scores, failures = self.graded = self.reward.grade(completions, samples)
        full = self.reward.bounds[1] - _ROUNDING
        return [
            Verdict(
                right=score >= full and not failure,
                read=not failure,
                choice=isinstance(sample.solution, Choice),
                label=sample.solution.name if isinstance(sample.solution, Label) else None,
                tags=sample.groups,
            )
            for score, failure, sample in zip(scores.tolist(), failures.tolist(), samples, strict=True)
        ]

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """Share of right answers, of all and by kind, class and tag."""
        verdicts: list[Verdict] = [row.value for row in rows]
        groups: dict[str, list[bool]] = {}
        spelled: dict[str, str] = {}
        for verdict in verdicts:
            label = [] if verdict.label is None else [spelled.setdefault(normalize_name(verdict.label), verdict.label)]
            tags = [f"tag/{tag}" for tag in set(verdict.tags)]
            for group in ("choice" if verdict.choice else "other", *(f"class/{name}" for name in label), *tags):
                groups.setdefault(group, []).append(verdict.right)
        shares = {group: sum(right) / len(right) for group, right in sorted(groups.items())}
        if not {"choice", "other"} <= shares.keys():
            shares = {group: share for group, share in shares.items() if group not in ("choice", "other")}
        successes, count = sum(verdict.right for verdict in verdicts), len(verdicts)
        low, high = wilson_interval(successes, count)
        numbers = {self.name: successes / count, f"{self.name}/low": low, f"{self.name}/high": high}
        numbers |= {f"{self.name}/{group}": share for group, share in shares.items()}
        if classes := [share for group, share in shares.items() if group.startswith("class/")]:
            numbers[f"{self.name}/per_class"] = sum(classes) / len(classes)
        if self.reward.reads_answers:
            numbers[f"parse_failures/{self.name}"] = sum(not verdict.read for verdict in verdicts) / count
        return numbers

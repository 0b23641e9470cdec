"""Rules that grow stricter as training goes on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from vrft_pl.rewards.base import Grades, Reward
from vrft_pl.types import Completions, Sample


def added(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """Numbers of the same names added up.

    Example:
        >>> added({"requests": 1}, {"requests": 2, "failures": 1})
        {'requests': 3, 'failures': 1}
    """
    return {**a, **{name: a.get(name, 0) + value for name, value in b.items()}}


class Staged(Reward):
    """One reward up to some optimizer step of training, a stricter one of the same kind from there on, and so forth.

    For IoU thresholds that rise: 0.85 for the first tenth of the steps, 0.95 up to a quarter and then 0.99 in Dynamic
    IoU (V-Triune, https://arxiv.org/abs/2505.18129); 0.5, then 0.75 in Vision-R1 (https://arxiv.org/abs/2503.18013,
    sec. 3.3). Any rule may change this way. Held-out completions are judged by the last stage always, so that scores of
    one run can be compared with each other.

    The stage follows from the optimizer step alone: every rank is in the same one, and a run that is resumed goes on in
    it. Scores of training fall where a stage begins.

    Args:
        stages: A reward for each stage; their own weights, names and starts are not used.
        starts: Optimizer steps from which each stage holds, the first 0.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If there are not as many of both, ``starts`` don't rise from 0, or the stages judge different kinds
            of ground truth.

    Example:
        >>> from vrft_pl.rewards import BoxAccuracy
        >>> reward = Staged([BoxAccuracy(0.85), BoxAccuracy(0.95), BoxAccuracy(0.99)], starts=[0, 100, 250])
        >>> [reward.at(step).threshold for step in (0, 99, 100, 1000)]
        [0.85, 0.85, 0.95, 0.99]
    """

    def __init__(self, stages: Sequence[Reward], starts: Sequence[int], name: str | None = None, **kwargs: Any) -> None:
        if not stages or len(stages) != len(starts):
            raise ValueError(f"Expected a start for each of `stages`, but got {len(stages)} and {list(starts)}.")
        super().__init__(name=name or type(stages[-1]).__name__, **kwargs)
        if starts[0] != 0 or any(later <= earlier for earlier, later in zip(starts, starts[1:], strict=False)):
            raise ValueError(f"Expected `starts` to be optimizer steps that rise from 0, but got {list(starts)}.")
        kinds = {(stage.solution_type, stage.reads_answers) for stage in stages}
        if len(kinds) > 1:
            names = ", ".join(type(stage).__name__ for stage in stages)
            raise ValueError(f"Expected `stages` to judge the same kinds of ground truth, but got {names}.")
        self.stages, self.starts = tuple(stages), tuple(starts)
        [(self.solution_type, self.reads_answers)] = kinds
        self.costs = any(stage.costs for stage in stages)
        lows, highs = zip(*(stage.bounds for stage in stages), strict=True)
        self.bounds = (min(lows), max(highs))

    @property
    def spent(self) -> Mapping[str, float]:  # type: ignore[override]  # what is read only there may change here
        """What asking all stages took."""
        return reduce(lambda total, stage: added(total, stage.spent), self.stages, dict[str, float]())

    def go_on_counting(self, spent: Mapping[str, float]) -> None:
        """Count on in the last stage that costs something."""
        for stage in [stage for stage in self.stages if stage.costs][-1:]:
            stage.go_on_counting(spent)

    def at(self, step: int) -> Reward:
        """The stage after ``step`` optimizer steps."""
        return self.stages[bisect_right(self.starts, step) - 1]

    def judges(self, sample: Sample) -> bool:
        """Whether the last stage does."""
        return self.stages[-1].judges(sample)

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Judge by the last stage."""
        return self.stages[-1].grade(completions, samples)

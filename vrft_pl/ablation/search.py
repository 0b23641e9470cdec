"""Search for hyper-parameters: every arm gets the same number of trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

Values: TypeAlias = dict[str, Any]
"""Values of hyper-parameters, by dotted key."""
Space: TypeAlias = Mapping[str, Sequence[Any]]
"""Values to try, by dotted key; numbers from the least to the greatest."""

MOST_DRAWS = 100
"""Draws of known values after which `RandomSearch` takes it that there are no others."""


@dataclass(frozen=True)
class Trial:
    """Values that were tried."""

    values: Values
    scores: tuple[float, ...]
    """On the validation rows, one a seed."""

    @property
    def mean(self) -> float:
        """What it is judged by."""
        return float(np.mean(self.scores))


class Search(ABC):
    """Proposes values to try. It remembers nothing: it is told what was tried, so that a search can be resumed."""

    @abstractmethod
    def propose(self, space: Space, trials: Sequence[Trial]) -> Values | None:
        """Propose values that were not tried yet; ``None`` where there is nothing left."""


class GridSearch(Search):
    """Walks the grid from the middle of each axis to the best neighbour, axis by axis.

    Where the best value is at the edge of its axis, the axis goes on beyond it by the ratio of its last two values.
    When all neighbours of the best are known, it looks half-way between them. So few trials go far, and the best value
    is at an edge only where trials ran out.
    """

    def propose(self, space: Space, trials: Sequence[Trial]) -> Values | None:
        """Propose the middle first, then what is next to the best."""
        known = [trial.values for trial in trials]
        start = {key: values[(len(values) - 1) // 2] for key, values in space.items()}
        if start not in known:
            return start
        best = max(trials, key=lambda trial: trial.mean).values
        around = ({**best, key: value} for key, value in neighbours(space, best))
        return next((values for values in around if values not in known), None)


def neighbours(space: Space, values: Values) -> Iterator[tuple[str, Any]]:
    """Values of single axes next to those given: a step of the grid away, then half a step, then a quarter."""
    for exponent in (1.0, 0.5, 0.25):
        for key, grid in space.items():
            if not numeric(grid):
                if exponent == 1.0:
                    yield from ((key, value) for value in grid)
                continue
            for direction in (1, -1):
                yield key, beside(grid, values[key], direction, exponent)


def beside(grid: Sequence[float], value: float, direction: int, exponent: float) -> float:
    """The number that is a step, or a part of one, above or below another on an axis whose steps are ratios."""
    if exponent == 1.0 and value in grid and 0 <= (i := grid.index(value) + direction) < len(grid):
        return grid[i]
    ratios = [high / low for low, high in zip(grid, grid[1:], strict=False)] or [2.0]
    ratio = ratios[-1] if value >= grid[-1] else ratios[0]
    return rounded(value * ratio ** (direction * exponent), grid)


def rounded(value: float, grid: Sequence[float]) -> float:
    """A number as its axis has them: whole where all of the axis are, and at least 1, else of three digits."""
    return max(1, round(value)) if whole(grid) else float(f"{value:.3g}")


class RandomSearch(Search):
    """Draws numbers between the least and the greatest of an axis, evenly on a logarithmic scale, and others evenly.

    Args:
        seed: Seed of the draws; the same ones for every arm with the same axes.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def propose(self, space: Space, trials: Sequence[Trial]) -> Values | None:
        """Draw the values of the next trial, again where they were tried."""
        rng, known = np.random.default_rng([self.seed, len(trials)]), [trial.values for trial in trials]
        drawn = ({key: self.draw(rng, values) for key, values in space.items()} for _ in range(MOST_DRAWS))
        return next((values for values in drawn if values not in known), None)

    def draw(self, rng: np.random.Generator, values: Sequence[Any]) -> Any:
        """Draw the value of one axis."""
        if numeric(values):
            low, high = np.log(min(values)), np.log(max(values))
            return rounded(float(np.exp(rng.uniform(low, high))), values)
        return values[int(rng.integers(len(values)))]


class OptunaSearch(Search):
    """The tree-structured Parzen estimator of Optuna (https://arxiv.org/abs/1907.10902); needs the extra ``optuna``.

    Args:
        seed: Seed of the sampler.
    """

    def __init__(self, seed: int = 0) -> None:
        if find_spec("optuna") is None:
            raise ValueError("OptunaSearch needs Optuna. Install it with `pip install vrft_pl[optuna]`.")
        self.seed = seed

    def propose(self, space: Space, trials: Sequence[Trial]) -> Values | None:
        """Ask a study that has seen all trials."""
        import optuna

        def axis(values: Sequence[Any]) -> Any:
            if not numeric(values):
                return optuna.distributions.CategoricalDistribution(list(values))
            if whole(values):
                return optuna.distributions.IntDistribution(min(values), max(values), log=True)
            return optuna.distributions.FloatDistribution(min(values), max(values), log=True)

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        axes = {key: axis(values) for key, values in space.items()}
        sampler = optuna.samplers.TPESampler(seed=self.seed + len(trials))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in trials:
            study.add_trial(optuna.trial.create_trial(params=trial.values, distributions=axes, value=trial.mean))
        return dict(study.ask(axes).params)


def numeric(values: Sequence[Any]) -> bool:
    """Whether an axis is one of positive numbers."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in values)


def whole(values: Sequence[Any]) -> bool:
    """Whether an axis is one of whole numbers, such as the size of a group."""
    return numeric(values) and all(isinstance(v, int) for v in values)


def at_edge(values: Values, trials: Sequence[Trial], space: Space) -> bool:
    """Whether a number is the least or the greatest that was tried on its axis, so that a better one may lie beyond.

    One trial alone is at the edge of every axis that has other values.
    """
    for key in filter(lambda key: numeric(space[key]), space):
        tried = {trial.values[key] for trial in trials}
        if len({*tried, *space[key]}) > 1 and values[key] in (min(tried), max(tried)):
            return True
    return False


def beyond(values: Values, space: Space) -> bool:
    """Whether a number lies outside its axis as it was written, where nobody has said that it may lie."""
    return any(numeric(grid) and not min(grid) <= values[key] <= max(grid) for key, grid in space.items())

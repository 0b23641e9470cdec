"""Several metrics that judge the same completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from vrft_pl.rewards.base import Grades, Judge, Reward
from vrft_pl.types import Completions, Sample


def check_names(metrics: Sequence[Judge]) -> None:
    """Raise `ValueError` when two metrics would log under one name."""
    names = [metric.name for metric in metrics]
    if len(set(names)) != len(names):
        raise ValueError(f"Reward names must be unique, but got {names}. Give one of them a `name`.")


def rewards_of(metrics: Sequence[Judge]) -> dict[str, Reward]:
    """The rewards among metrics, and those that other metrics go by, by the name of the metric."""
    named = {
        metric.name: metric if isinstance(metric, Reward) else getattr(metric, "reward", None) for metric in metrics
    }
    return {name: reward for name, reward in named.items() if isinstance(reward, Reward)}


def judge(metrics: Sequence[Judge], completions: Completions, samples: Sequence[Sample]) -> dict[str, Grades]:
    """Add a batch to those that judge any of it.

    Args:
        metrics: What judges.
        completions: ``N`` completions.
        samples: The sample of each completion. Length ``N``.

    Returns:
        What those said of each completion that go by a reward, by their name; see `grades_of`.
    """
    for metric in metrics:
        if any(metric.judges(sample) for sample in samples):
            metric.update(completions, samples)
    return grades_of(metrics, samples)


def grades_of(metrics: Sequence[Judge], samples: Sequence[Sample]) -> dict[str, Grades]:
    """What metrics said of the batch that they were just updated with, of those that go by a reward and judge any."""
    judged = [(metric, [metric.judges(sample) for sample in samples]) for metric in metrics]
    return {m.name: m.graded.spread(rows) for m, rows in judged if any(rows) and m.graded is not None}


def totals(metrics: Sequence[Judge]) -> Iterator[tuple[str, Tensor]]:
    """The numbers to log, of all ranks together, which metrics forget thereby. Every rank calls it."""
    for metric in metrics:
        with metric.sync_context():
            values = metric.values()
        metric.reset()
        yield from values.items()

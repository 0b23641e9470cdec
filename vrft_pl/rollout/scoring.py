"""What rewards say of the completions of a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from torch import Tensor

from vrft_pl.types import Completions, Sample, Scores

T = TypeVar("T")


class Grader(Protocol):
    """What a rollout asks of a reward."""

    name: str

    def at(self, step: int) -> Grader:
        """What judges after ``step`` optimizer steps."""

    def begin(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Start to judge ``N`` completions; `grade` follows."""

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """Scores and codes of parse failures of ``N`` completions, each of shape ``(N,)``."""

    def weight_at(self, step: int) -> float:
        """The weight after ``step`` optimizer steps."""


def score(rewards: Sequence[Grader], samples: Sequence[Sample], completions: Completions, step: int) -> Scores:
    """Let every reward judge the completions; all are told of them before the first one does.

    Args:
        rewards: Each with a name of its own.
        samples: Length ``P``.
        completions: ``N = P * G`` completions.
        step: Optimizer steps so far.
    """
    group_size = len(completions) // len(samples)
    repeated = [sample for sample in samples for _ in range(group_size)]
    graders = {reward.name: reward.at(step) for reward in rewards}
    for grader in graders.values():
        grader.begin(completions, repeated)
    grades = {name: grader.grade(completions, repeated) for name, grader in graders.items()}
    return Scores(
        by_reward={name: scores for name, (scores, _) in grades.items()},
        parse_failures={name: codes for name, (_, codes) in grades.items()},
        weights={reward.name: reward.weight_at(step) for reward in rewards},
        group_size=group_size,
    )


@contextmanager
def beside(work: Callable[..., T], *args: Any, when: bool) -> Iterator[Future[T]]:
    """Work in a thread beside forward passes, which leave the interpreter free; at once when there are none."""
    if when:
        with ThreadPoolExecutor(max_workers=1) as pool:
            yield pool.submit(work, *args)
    else:
        done: Future[T] = Future()
        done.set_result(work(*args))
        yield done

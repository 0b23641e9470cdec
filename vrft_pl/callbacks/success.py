"""Which completions are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from lightning.pytorch import Callback, LightningModule

from vrft_pl.rewards import Reward
from vrft_pl.types import Experience, InputError


class Rewarded(Protocol):
    """A module that has rewards."""

    rewards: Sequence[Reward]


class Success:
    """The success rate of groups, by a reward that reads answers.

    Args:
        right: Score from which a completion counts as right.
        reward: Name of the reward whose score is meant. Defaults to the first that reads answers and judges the row.

    Raises:
        ValueError: If ``right`` is not finite.
    """

    def __init__(self, right: float = 0.5, reward: str | None = None) -> None:
        if not -float("inf") < right < float("inf"):
            raise ValueError(f"Expected `right` to be a finite score, but got {right}.")
        self.right, self.reward = right, reward
        self.names: list[str] = []
        """Of the rewards that success is measured by, the first that judges a row counting."""

    def choose(self, module: LightningModule, callback: Callback) -> None:
        """Find the rewards of a module.

        Raises:
            InputError: If there is none to measure by, naming the callback.
        """
        rewards = cast(Rewarded, module).rewards
        known = [reward.name for reward in rewards if reward.reads_answers or reward.name == self.reward]
        if not known or self.reward not in (None, *known):
            name = type(callback).__name__
            raise InputError(f"Expected `reward` of {name} to be one of {known}, but got {self.reward!r}.")
        self.names = known if self.reward is None else [self.reward]

    def rates(self, experience: Experience) -> list[float | None]:
        """Share of right completions of each group; ``None`` for one that is not judged."""
        groups = len(experience)
        right = {name: experience.scores[name].view(groups, -1) >= self.right for name in self.names}
        judged = {name: experience.parse_failures[name].view(groups, -1)[:, 0] >= 0 for name in self.names}
        judges = [next((name for name in self.names if judged[name][i]), None) for i in range(groups)]
        return [None if name is None else float(right[name][i].double().mean()) for i, name in enumerate(judges)]

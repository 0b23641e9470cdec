"""Groups that teach nothing are replaced by others."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from vrft_pl.distributed import any_rank, gather
from vrft_pl.rollout import RolloutCallback
from vrft_pl.rollout.hooks import CollectsMore, Run, insist_on_more
from vrft_pl.rollout.loader import muted
from vrft_pl.types import Experience


class DynamicSampling(RolloutCallback):
    """Drops groups without advantage, whose rewards are all equal, and samples further rows in their place.

    Dynamic sampling of DAPO (https://arxiv.org/abs/2503.14476, sec. 3.2, eq. 11). Deviations: a round asks for as many
    rows as groups are missing, in place of a whole batch, so that no group with advantage is thrown away; rows come
    from a further order of the same epoch, whose length stays; and there is a limit, after which the step is made of
    what is there. Dropped groups are in no denominator. All ranks together fill what is missing on any of them.

    Logs of each window, over all ranks, ``train/dropped_groups`` and ``train/missing_groups`` (what was not replaced),
    ``train/extra_rounds`` and their seconds, ``time/extra_rounds``. Rewards and lengths are logged as before: of the
    first round, in which nothing is selected.

    Args:
        rounds: Most extra rounds of a window; 0 only drops.

    Raises:
        ValueError: If ``rounds`` is negative.
    """

    def __init__(self, rounds: int = 3) -> None:
        if rounds < 0:
            raise ValueError(f"Expected `rounds` to be 0 or more, but got {rounds}.")
        self.rounds = rounds
        self.dropped = 0
        """Groups of this rank that were dropped."""

    def state_dict(self) -> dict[str, int]:
        """What was counted; which rows come next is the loader's to know."""
        return {"dropped": self.dropped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.dropped = state_dict["dropped"]

    def insist(self, run: Run, module: LightningModule) -> None:
        """Refuse a module that collects no rollouts."""
        insist_on_more(module, self)

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> Experience:
        """Fill the window with groups that have an advantage."""
        assert isinstance(module, CollectsMore)
        parts, rounds, start = [live(experience)], 0, time.perf_counter()
        missing = dropped = len(experience) - len(parts[0])
        while rounds < self.rounds and any_rank(missing > 0):
            rounds += 1
            if (found := module.more(missing, f"round {rounds}")) is not None:
                parts.append(live(found))
                dropped += missing - len(parts[-1])
                missing -= len(parts[-1])
        self.dropped += dropped
        told = gather((dropped, missing, time.perf_counter() - start))
        total_dropped, total_missing, seconds = (sum(values) for values in zip(*told, strict=True))
        counts = {"dropped_groups": total_dropped, "missing_groups": total_missing, "extra_rounds": rounds}
        numbers = {f"train/{name}": float(count) for name, count in counts.items()}
        module.note({**numbers, "time/extra_rounds": seconds / len(told)})
        filled = [part for part in parts if len(part)]
        if not filled:  # other ranks wait for the passes of this one
            return muted(experience.select([0]), experience.samples[:1])
        return filled[0].join(filled[1:])


def live(experience: Experience) -> Experience:
    """The groups that have an advantage."""
    return experience.select([i for i, alive in enumerate(experience.live_groups.tolist()) if alive])

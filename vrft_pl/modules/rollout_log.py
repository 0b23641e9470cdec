"""What is logged of a rollout."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from vrft_pl.distributed import mean_over_ranks
from vrft_pl.rewards import Unread
from vrft_pl.rewards.base import REASONS
from vrft_pl.types import Experience


def rollout_log(experience: Experience) -> dict[str, float]:
    """Summarise a window, averaged over ranks, under the names of the log.

    Returns:
        ``train/reward`` and its mean spread within a group; each reward, its parse failures and those of each reason
        that occurs (shares), over the samples that it judges; ``train/reward_errors/<Name>`` in place of such a reason,
        where the reward itself failed; ``train/dead_groups`` (share of groups whose rewards are
        all equal), ``train/completion_tokens`` (mean), ``train/truncated`` (share), and seconds by phase.
    """
    completions = experience.completions
    means = {
        "train/reward": experience.rewards.mean(),
        "train/reward_std": experience.rewards.view(len(experience), -1).std(dim=1).mean(),
        "train/dead_groups": 1 - experience.live_groups.float().mean(),
        "train/completion_tokens": completions.mask.sum(dim=1).float().mean(),
        "train/truncated": completions.truncated.float().mean(),
        **{f"time/{name}": torch.tensor(seconds) for name, seconds in experience.seconds.items()},
    }
    judged: dict[str, torch.Tensor] = {}
    sums: dict[str, torch.Tensor] = {}
    reasons: set[str] = set()
    for name, code in experience.parse_failures.items():
        parts = {f"train/reward/{name}": experience.scores[name], f"train/parse_failures/{name}": code > 0}
        of_reason = {reason_name(name, r): code == i for i, r in enumerate(REASONS, start=1)}
        sums |= {key: value.sum() for key, value in (parts | of_reason).items()}
        judged |= dict.fromkeys((*parts, *of_reason), (code >= 0).sum())
        reasons |= set(of_reason)
    values = [*means.values(), *sums.values(), *judged.values()]
    stacked = torch.stack([value.float().to(experience.rewards.device) for value in values])
    reduced = iter(mean_over_ranks(stacked).tolist())
    log = {name: next(reduced) for name in means}
    totals = [next(reduced) for _ in sums]
    log |= {name: total / count for name, total, count in zip(sums, totals, reduced, strict=True) if count}
    return {name: value for name, value in log.items() if value or name not in reasons}


def reason_name(reward: str, reason: Unread) -> str:
    """Under which the share of completions is logged that a reward scores 0 for a reason."""
    if reason is Unread.ERROR:
        return f"train/reward_errors/{reward}"
    return f"train/parse_failures/{reward}/{reason.value}"


class RolloutStats:
    """What is logged of the newest window, also by a run that is resumed within it."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def update(self, experience: Experience, spent: Mapping[str, Mapping[str, float]] | None = None) -> None:
        """Take the numbers of a window; 0 for a reason that is gone, for Lightning repeats what is not logged again.

        Args:
            experience: The window.
            spent: What rewards took until now, by their name: logged as ``train/spent/<Name>/<number>``.
        """
        self.numbers = dict.fromkeys(self.numbers, 0.0) | rollout_log(experience)
        for name, numbers in (spent or {}).items():
            self.numbers |= {f"train/spent/{name}/{key}": float(value) for key, value in numbers.items()}

    def state_dict(self) -> dict[str, float]:
        """The numbers by logged name."""
        return dict(self.numbers)

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on with the numbers of the window that the run stopped in."""
        self.numbers = dict(state_dict)

"""What is logged of a rollout."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import Strategy

from vrft_pl.rewards.base import REASONS
from vrft_pl.types import Experience


def rollout_log(experience: Experience, strategy: Strategy) -> dict[str, float]:
    """Summarise a window, averaged over ranks, under the names of the log.

    Returns:
        ``train/reward`` and its mean spread within a group, each reward, its parse failures and those of each reason
        that occurs (shares), ``train/dead_groups`` (share of groups whose rewards are all equal),
        ``train/completion_tokens`` (mean), ``train/truncated`` (share), and seconds by phase.
    """
    completions, failures = experience.completions, experience.parse_failures
    groups = experience.rewards.view(len(experience), -1)
    values = {
        "train/reward": experience.rewards.mean(),
        "train/reward_std": groups.std(dim=1).mean(),
        "train/dead_groups": 1 - experience.live_groups.float().mean(),
        "train/completion_tokens": completions.mask.sum(dim=1).float().mean(),
        "train/truncated": completions.truncated.float().mean(),
        **{f"train/reward/{name}": score.mean() for name, score in experience.scores.items()},
        **{f"train/parse_failures/{name}": (code > 0).float().mean() for name, code in failures.items()},
        **{
            f"train/parse_failures/{name}/{reason.value}": (code == i).float().mean()
            for name, code in failures.items()
            for i, reason in enumerate(REASONS, start=1)
        },
        **{f"time/{name}": torch.tensor(seconds) for name, seconds in experience.seconds.items()},
    }
    stacked = torch.stack([value.float().to(experience.rewards.device) for value in values.values()])
    means = dict(zip(values, strategy.reduce(stacked, reduce_op="mean").tolist(), strict=True))
    return {name: mean for name, mean in means.items() if mean or name.count("/") < 3}

"""What is logged of a rollout."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import Strategy

from vrft_pl.types import Experience


def rollout_log(experience: Experience, strategy: Strategy) -> dict[str, float]:
    """Summarise a window, averaged over ranks, under the names of the log.

    Returns:
        ``train/reward`` and its mean spread within a group, each reward and its parse failures, ``train/dead_groups``
        (share of groups whose rewards are all equal), ``train/completion_tokens`` (mean), ``train/truncated`` (share),
        and seconds by phase.
    """
    completions = experience.completions
    groups = experience.rewards.view(len(experience), -1)
    values = {
        "train/reward": experience.rewards.mean(),
        "train/reward_std": groups.std(dim=1).mean(),
        "train/dead_groups": 1 - experience.live_groups.float().mean(),
        "train/completion_tokens": completions.mask.sum(dim=1).float().mean(),
        "train/truncated": completions.truncated.float().mean(),
        **{f"train/reward/{name}": score.mean() for name, score in experience.scores.items()},
        **{f"train/parse_failures/{name}": bad.float().mean() for name, bad in experience.parse_failures.items()},
        **{f"time/{name}": torch.tensor(seconds) for name, seconds in experience.seconds.items()},
    }
    stacked = torch.stack([value.float().to(experience.rewards.device) for value in values.values()])
    return dict(zip(values, strategy.reduce(stacked, reduce_op="mean").tolist(), strict=True))

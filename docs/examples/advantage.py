"""Reward over the mean of its group (MaxRL's first order)."""

import torch

from vrft_pl.algorithms import Advantage


class OverMean(Advantage):
    """How many times the mean of its group a reward is, less one."""

    def __call__(self, scores):
        rewards = scores.total.view(-1, scores.group_size)
        mean = rewards.mean(dim=1, keepdim=True)
        return torch.where(mean > 0, rewards / mean.clamp(min=1e-6) - 1, 0.0).flatten()

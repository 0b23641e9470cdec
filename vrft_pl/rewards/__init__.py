"""Verifiable rewards, each also a metric."""

from vrft_pl.rewards.answer import NumberMatch
from vrft_pl.rewards.base import Grades, Reward
from vrft_pl.rewards.boxes import BoxAccuracy, BoxIoU
from vrft_pl.rewards.format import Format

__all__ = ["BoxAccuracy", "BoxIoU", "Format", "Grades", "NumberMatch", "Reward"]

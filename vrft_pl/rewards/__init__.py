"""Verifiable rewards, each also a metric."""

from vrft_pl.rewards.answer import NumberMatch
from vrft_pl.rewards.base import Grades, Judge, Reward
from vrft_pl.rewards.boxes import BoxAccuracy, BoxIoU
from vrft_pl.rewards.format import Format
from vrft_pl.rewards.parsing import Unread

__all__ = ["BoxAccuracy", "BoxIoU", "Format", "Grades", "Judge", "NumberMatch", "Reward", "Unread"]

"""Rewards with a fault."""

from vrft_pl.answers import Number
from vrft_pl.rewards import NumberMatch, Reward, Unread


class Constant(Reward):
    """Says the same of everything."""

    def grade_one(self, text, sample, frame):
        return 0.5


class ConstantNumber(Constant):
    """Says the same of every number, and nothing of other answers."""

    solution_type = Number


class Illiterate(NumberMatch):
    """Reads no answer, as a parser for another form of answer does."""

    def grade_one(self, text, sample, frame):
        return Unread.NO_ANSWER


class Picky(NumberMatch):
    """Takes no number above 2 for right."""

    def credit(self, value, truth):
        return super().credit(value, truth) if truth <= 2 else 0.25

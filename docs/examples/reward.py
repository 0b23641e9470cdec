"""A reward: a number for an answer, or the reason why there is none."""

from vrft_pl.rewards import Reward, Unread
from vrft_pl.rewards.parsing import parse_number, read_answer


class Closeness(Reward):
    """1 for the right number, less the further away the answer is."""

    def grade_one(self, text, sample, frame):
        answer = read_answer(text, sample.style)
        number = answer if isinstance(answer, Unread) else parse_number(answer)
        if isinstance(number, Unread):
            return number
        return 1 / (1 + abs(number.value - sample.solution.value))

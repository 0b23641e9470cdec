"""A reward that reads another column of the row."""

from vrft_pl.rewards import Reward, Unread
from vrft_pl.rewards.parsing import parse_number, read_answer


class Within(Reward):
    """1 for a number that is as near as the row's column ``tolerance`` allows, else 0."""

    bounds = (0.0, 1.0)

    def grade_one(self, text, sample, frame):
        answer = read_answer(text, sample.style)
        number = answer if isinstance(answer, Unread) else parse_number(answer)
        if isinstance(number, Unread):
            return number
        return float(abs(number.value - sample.solution.value) <= sample.extra["tolerance"])

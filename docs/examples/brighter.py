"""A kind of ground truth, its reward and its family: which of two pictures is brighter?"""

from dataclasses import dataclass

from vrft_pl.answers import Solution
from vrft_pl.data import VisionTask
from vrft_pl.rewards import Reward, Unread
from vrft_pl.rewards.parsing import read_answer
from vrft_pl.types import InputError

PLACES = ("first", "second")


@dataclass(frozen=True)
class Place(Solution):
    """One of two pictures."""

    name: str

    def form(self, coordinates):  # what the question asks for
        return "first or second"

    def text(self, frame):  # how the policy should write it
        return self.name


class Brighter(VisionTask):
    """Which of two pictures is brighter?"""

    def solution(self, record):
        if record.answer not in PLACES:
            raise InputError(f"{record.id}: expected the answer to be one of {PLACES}, but got {record.answer!r}.")
        return Place(record.answer)


class PlaceMatch(Reward):
    """1 for the right picture."""

    solution_type = Place
    bounds = (0.0, 1.0)

    def grade_one(self, text, sample, frame):
        answer = read_answer(text, sample.style)
        if isinstance(answer, Unread):
            return answer
        return float(answer == sample.solution.name) if answer in PLACES else Unread.MALFORMED

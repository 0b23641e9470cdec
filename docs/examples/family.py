"""A family over a kind of answer that there is already: is it there, yes or no?"""

from vrft_pl.answers import Label
from vrft_pl.data import VisionTask
from vrft_pl.types import InputError

WORDS = {True: Label("yes"), False: Label("no")}


class Presence(VisionTask):
    """Questions whose rows answer with true or false; `LabelMatch` judges the word."""

    def solution(self, record):
        if not isinstance(record.answer, bool):
            raise InputError(f"{record.id}: expected the answer to be true or false, but got {record.answer!r}.")
        return WORDS[record.answer]

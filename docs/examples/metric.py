"""How long answers are, on average over all ranks."""

from vrft_pl.metrics import Collected


class AnswerLength(Collected):
    """Mean number of characters of a completion."""

    def values_of(self, completions, samples):
        return [len(text) for text in completions.texts]

    def summarize(self, rows):
        return {self.name: sum(row.value for row in rows) / len(rows)}

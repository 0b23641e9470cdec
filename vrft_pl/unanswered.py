"""Questions whose answer nobody knows yet."""

from __future__ import annotations

from dataclasses import dataclass

from vrft_pl.answers import AnswerFrame, Solution


@dataclass(frozen=True)
class Unanswered(Solution):
    """Stands where a question has no ground truth: asked, read and drawn as its kind is, and judged by no reward.

    A source gives it as the answer of a row, with a kind where it knows one; `VisionTask.unanswered` says it otherwise.
    """

    kind: Solution | None = None
    """Any answer of the kind that is asked for; nothing of it counts but its form."""

    def form(self, coordinates: str) -> str:
        """That of its kind."""
        return "a text" if self.kind is None else self.kind.form(coordinates)

    def text(self, frame: AnswerFrame | None) -> str:
        """Nothing: there is no answer."""
        return ""

"""Styles: what a turn holds beside the answer, and how it is asked for and imitated."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Literal


class AnswerStyle:
    """How the policy is asked to write, and how a right turn is written.

    Args:
        name: What messages call it.
        tags: The blocks of a turn, in order; the last or the first is ``answer``. Without any, the whole turn is the
            answer.
        instruction: What the question says of it; ``{form}`` stands for the form of the answer.

    Raises:
        ValueError: If neither the last nor the first block alone is ``answer``, or ``instruction`` can't be filled in.
    """

    def __init__(self, name: str, tags: Sequence[str] = (), instruction: str = "Answer with {form} only.") -> None:
        if tags and (list(tags).count("answer") != 1 or "answer" not in (tags[0], tags[-1])):
            raise ValueError(f"Expected the last or the first of `tags` to be `answer`, but got {list(tags)}.")
        try:
            instruction.format(form="")
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"Expected `instruction` to hold no field but {{form}}, but got {instruction!r}."
            ) from error
        self.name, self.tags, self.instruction = name, tuple(tags), instruction

    @property
    def thoughts(self) -> tuple[str, ...]:
        """The blocks beside the answer, in order."""
        return tuple(tag for tag in self.tags if tag != "answer")

    @property
    def answers_first(self) -> bool:
        """Whether thoughts follow the answer."""
        return len(self.tags) > 1 and self.tags[0] == "answer"

    @property
    def placeholder(self) -> str | None:
        """Stands for a chain of thought that a row does not have; ``None`` where none is needed."""
        return "".join(f"<{tag}>I look.</{tag}>" for tag in self.thoughts) or None

    def target(self, answer: str, cot: str | None) -> str:
        """Write the whole turn that supervised training imitates.

        A style with thoughts needs a chain of thought. One that already holds tags, as Reason-RFT writes them, stays as
        it is; where there is one block of thoughts, a bare one is put into it. Of a whole turn the thoughts stay, and
        its answer is written anew: in the policy's coordinates, and the very one that was checked. Where the answer
        comes first, what stood before it follows it.

        Raises:
            ValueError: If there is no chain of thought where one is needed, or one with more than one answer.

        Example:
            >>> STYLES["think"].target("3", "1, 2, 3.")
            '<think>1, 2, 3.</think><answer>3</answer>'
            >>> STYLES["think_after"].target("3", "1, 2, 3."), STYLES["no_think"].target("3", "1, 2, 3.")
            ('<answer>3</answer><think>1, 2, 3.</think>', '<answer>3</answer>')
        """
        if not self.tags:
            return answer
        block, thoughts = f"<answer>{answer}</answer>", self.thoughts
        if not thoughts:
            return block
        if not cot:
            raise ValueError(
                f"expected a chain of thought (`cot`) for the `{self.name}` style, but there is none. "
                "Use `style: answer`, or add `cot` to the row."
            )
        cot = cot.strip()
        if "<answer>" in cot or "</answer>" in cot:
            before, after = around_answer(cot)
            if not self.answers_first:
                return f"{before}{block}{after}"
            cot = f"{before}{after}".strip()
        if len(thoughts) == 1 and f"<{thoughts[0]}>" not in cot:
            cot = f"<{thoughts[0]}>{cot}</{thoughts[0]}>"
        return f"{block}{cot}" if self.answers_first else f"{cot}{block}"


def around_answer(turn: str) -> tuple[str, str]:
    """Split a turn into what stands before and behind its one answer.

    Raises:
        ValueError: If it does not hold one ``<answer>`` block.
    """
    before, _, rest = turn.partition("<answer>")
    _, closed, after = rest.partition("</answer>")
    if not closed or turn.count("<answer>") != 1 or turn.count("</answer>") != 1:
        raise ValueError(f"expected one <answer> block in `cot`, but got {reprlib.repr(turn)}.")
    return before, after


StyleName = Literal["answer", "think", "caption", "think_after", "no_think"]
"""The bare answer; thoughts, then the answer; summary, caption, thoughts and answer; the answer, then thoughts; or the
answer alone in its tags.

The last two are those of arXiv 2503.16188: Think-After-Answer, and No-Thinking-RL, which asks for the bare answer of
``answer`` too, and tells what is the answer by tags in ``no_think``.
"""
STYLES: dict[StyleName, AnswerStyle] = {
    "answer": AnswerStyle("answer"),
    "think": AnswerStyle(
        "think",
        ("think", "answer"),
        "Think inside <think> </think>, then answer with {form} inside <answer> </answer>.",
    ),
    "caption": AnswerStyle(
        "caption",
        ("summary", "caption", "think", "answer"),
        "Plan inside <summary> </summary>, describe inside <caption> </caption>, think inside <think> </think>, "
        "then answer with {form} inside <answer> </answer>.",
    ),
    "think_after": AnswerStyle(
        "think_after",
        ("answer", "think"),
        "Answer with {form} inside <answer> </answer>, then explain your answer inside <think> </think>.",
    ),
    "no_think": AnswerStyle(
        "no_think", ("answer",), "Answer at once, without thoughts, with {form} inside <answer> </answer>."
    ),
}


def answer_style(style: AnswerStyle | StyleName) -> AnswerStyle:
    """The style of a name; a style of one's own is itself."""
    return style if isinstance(style, AnswerStyle) else STYLES[style]

"""Whether a completion has the form that was asked for."""

from __future__ import annotations

from typing import Any

from vrft_pl.answers import AnswerFrame
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.parsing import read_blocks
from vrft_pl.rewards.parsing.blocks import is_blank, without_empty_thoughts
from vrft_pl.styles import STYLES, AnswerStyle, StyleName, answer_style
from vrft_pl.types import Sample

_ALL_TAGS = tuple(f"<{slash}{tag}>" for tag in STYLES["caption"].tags for slash in ("", "/"))


class Format(Reward):
    """1 for exactly one block of each tag, in order, none empty and nothing outside but white space; else 0.

    A block of characters that nobody sees is empty.

    The bare ``answer`` style asks for some text and no tag at all. A closed ``<think>`` block may stand before it, for
    some models always think first; before a style that does not begin with thoughts, an empty one may, for some chat
    templates open it.

    Args:
        style: The form. Defaults to the one the sample asks for.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If there is no such form.

    Example:
        >>> reward = Format("think")
        >>> [reward.grade_one(text, None, None) for text in ("<think>2+1</think><answer>3</answer>", "3")]
        [1.0, 0.0]
    """

    bounds = (0.0, 1.0)
    reads_answers = False

    def __init__(self, style: AnswerStyle | StyleName | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if style is not None and not isinstance(style, AnswerStyle) and style not in STYLES:
            raise ValueError(
                f"Expected `style` to be one of {', '.join(STYLES)}, but got {style!r}. `weight` is named."
            )
        self.style = style

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float:
        """Judge the form of one completion."""
        tags = answer_style(self.style or sample.style).tags
        if not tags and text.lstrip().startswith("<think>"):
            text = text.partition("</think>")[2]
        elif tags[:1] != ("think",):
            text = without_empty_thoughts(text)
        if not tags:
            return float(not is_blank(text) and not any(tag in text for tag in _ALL_TAGS))
        return float(read_blocks(text, tags) is not None)

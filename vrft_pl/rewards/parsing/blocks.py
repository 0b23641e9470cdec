"""Where the answer is in a completion, and what models put around it."""

from __future__ import annotations

import re

import regex

from vrft_pl.rewards.parsing.unread import Unread
from vrft_pl.styles import AnswerStyle, StyleName, answer_style

MAX_ANSWER = 4096
"""Characters of a single answer that is still read."""
_FENCE = re.compile(r"```(?:[A-Za-z][\w+-]++[ \t]*+\n|json\b|python\b)?(.*)", re.DOTALL)
_NO_THOUGHTS = re.compile(r"\s*+<think>\s*+</think>")
"""What a turn without thoughts begins with where the chat template opens them."""
_KIMI = (("\u25c1think\u25b7", "<think>"), ("\u25c1/think\u25b7", "</think>"))
"""What stands for tags of thoughts in what Kimi-VL writes."""
_BLANK = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Separator}\p{Mn}\p{Default_Ignorable_Code_Point}\u2800]*"  # a braille without dots
)
_WRAPS = (
    *((f"\\{name}{{", "}") for name in ("boxed", "fbox", "text", "textbf", "mathrm", "mathbf")),
    *(("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$")),
    *(("**", "**"), ("`", "`"), ('"', '"'), ("'", "'")),
    ("<|begin_of_box|>", "<|end_of_box|>"),
)


def is_blank(text: str) -> bool:
    r"""Whether a text shows nothing: no character, or only white space, controls and letters that are drawn as a blank.

    Example:
        >>> is_blank(" \u200b\u3164"), is_blank("3")
        (True, False)
    """
    return _BLANK.fullmatch(text) is not None


def read_blocks(text: str, tags: tuple[str, ...]) -> dict[str, str] | None:
    """Read exactly one block of each tag, in order, none empty, nothing but white space outside.

    Returns:
        The content of each block, or ``None`` when the text has another form. No content may hold a tag of its own.
    """
    contents, position = {}, 0
    for tag in tags:
        opening, closing = f"<{tag}>", f"</{tag}>"
        start = text.find(opening, position)
        end = text.find(closing, start + len(opening)) if start >= 0 else -1
        if end < 0 or text[position:start].strip():
            return None
        contents[tag] = text[start + len(opening) : end]
        position = end + len(closing)
    marks = [mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")]
    if text[position:].strip() or any(map(is_blank, contents.values())):
        return None
    if any(mark in content for content in contents.values() for mark in marks):
        return None
    return contents


def read_answer(text: str, style: AnswerStyle | StyleName) -> str | Unread:
    """Find the answer in a completion, whatever the form around it.

    With tags asked for, that is the content of the only ``<answer>`` block; two blocks are no answer, and what the
    thoughts say never counts, be they one closed block or several. In the bare style it is the whole text, without
    thoughts before it, and without the tags of an ``<answer>`` block that is all there is. Where the answer comes
    first, one behind the thoughts is none.
    """
    style = answer_style(style)
    tags = style.tags
    for mark, tag in _KIMI:
        text = text.replace(mark, tag)
    if style.answers_first:
        text, tags = before_thoughts(without_empty_thoughts(text), tags[1]), tags[:1]
    thoughts = tags[-2] if len(tags) > 1 else "think"
    visible = after_thoughts(text, thoughts, alone=not tags)
    if visible is None:
        return Unread.NO_ANSWER
    if not tags and not (visible.startswith("<answer>") and visible.endswith("</answer>")):
        return visible or Unread.EMPTY
    if visible.count("<answer>") != 1 or visible.count("</answer>") != 1:
        return Unread.NO_ANSWER
    _, _, rest = visible.partition("<answer>")
    answer, closed, _ = rest.partition("</answer>")
    if not closed or f"</{thoughts}>" in rest:
        return Unread.NO_ANSWER
    return answer.strip() or Unread.EMPTY


def without_empty_thoughts(text: str) -> str:
    """Take off a block without thoughts at the beginning, which some chat templates open."""
    found = _NO_THOUGHTS.match(text)
    return text[found.end() :] if found else text


def before_thoughts(text: str, tag: str) -> str:
    """What stands before the thoughts; nothing where an answer stands behind them, be it the only one or another.

    Example:
        >>> before_thoughts("<answer>3</answer><think>not <answer>4</answer></think>", "think")
        '<answer>3</answer>'
    """
    before, _, rest = text.partition(f"<{tag}>")
    behind = rest.rpartition(f"</{tag}>")[2] if f"</{tag}>" in rest else ""
    return "" if "<answer>" in behind else before


def after_thoughts(text: str, tag: str = "think", alone: bool = False) -> str | None:
    """What stands behind the closed blocks of thoughts; the first of them may be opened by the prompt.

    Args:
        text: A completion.
        tag: Of the thoughts.
        alone: Whether nothing may stand before or between the blocks.

    Returns:
        Without blanks around it; ``None`` where a block is open, or opened or closed once more.

    Example:
        >>> [after_thoughts(text) for text in ("<think>a</think> <think>b</think>3", "a</think>3", "<think>3")]
        ['3', '3', None]
    """
    opening, closing = f"<{tag}>", f"</{tag}>"
    end = text.find(closing)
    if alone and end >= 0 and text.find(opening, 0, end) > 0 and text[: text.find(opening)].strip():
        return None
    position = end + len(closing) if end >= 0 else 0
    while (start := text.find(opening, position)) >= 0:
        before, end = text[position:start], text.find(closing, start)
        if end < 0 or "<answer>" in before or (alone and before.strip()):
            return None
        position = end + len(closing)
    visible = text[position:].strip()
    return None if alone and closing in visible else visible


def unwrap(answer: str) -> str:
    r"""Take off what models put around an answer: code fences, ``\boxed{}``, dollars, bold marks, quotes; four layers.

    Example:
        >>> unwrap("$\\boxed{3}$."), unwrap("```json\n[1, 2]\n```"), unwrap("**3** or **4**")
        ('3', '[1, 2]', '**3** or **4**')
    """
    for _ in range(4):
        answer = inner = answer.strip()
        if answer.startswith("```") and (fenced := _FENCE.fullmatch(answer)):
            content = fenced[1].removesuffix("```")
            if "```" not in content:
                inner = content.strip()
        for opening, closing in _WRAPS:
            whole = inner.removesuffix(".")
            if whole.startswith(opening) and whole.endswith(closing) and len(whole) >= len(opening) + len(closing):
                content = whole[len(opening) : -len(closing)]
                # `\boxed{1} + \boxed{2}` and `**a** or **b**` are not wrapped as a whole
                if closing not in content or (closing == "}" and _balanced(content)):
                    inner = content.strip()
        if inner == answer:
            break
        answer = inner
    return answer


def read_fence(text: str) -> str:
    """Read the content of the only code fence of a text, if it is closed; without one, the text is as it was."""
    fence = text.split("```", maxsplit=3)
    content = _FENCE.fullmatch("```" + fence[1]) if len(fence) == 3 else None
    return content[1].strip() if content else text


def _balanced(text: str) -> bool:
    depth = 0
    for mark in text:
        depth += (mark == "{") - (mark == "}")
        if depth < 0:
            return False
    return depth == 0

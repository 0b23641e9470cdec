"""Completions that a policy should never write and some day will."""

from __future__ import annotations

import random
from collections.abc import Iterator

from graders.odd import odd_mark, walk
from graders.questions import CATEGORIES, CLASSES, FAMILIES, honest, questions
from graders.sampled import sampled
from vrft_pl.styles import StyleName

PIECES = (
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<summary>",
        "</caption>",
        "<answer",
        "</",
        "<|im_end|>",
        "\n",
        " ",
    ),
    *(
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "[[",
        "]]",
        "'",
        '"',
        "\\",
        ",",
        ":",
        ";",
        "```json\n",
        "```",
        "**",
        "$",
        "$$",
        "`",
    ),
    *(
        "nan",
        "inf",
        "-inf",
        "1e999",
        "-0",
        "1e-320",
        "True",
        "false",
        "None",
        "null",
        "0x10",
        "1_000",
        "1,234",
        "½",
        "٣",
        "３",
    ),
    *(
        "{'Position': [1, 2, 3, 4], 'Confidence': 0.5}",
        "[0, 0, 1000, 1000]",
        "(1,2),(3,4)",
        "[9, 9, 1, 1]",
        "[5, 5, 5, 5]",
    ),
    *(
        "'Confidence': -5",
        "'Confidence': 10",
        "bbox_2d",
        '"label": ',
        "No Objects",
        "no objects.",
        "[]",
        "{}",
        "[1e308, 0, 1e309, 1]",
    ),
    *(
        "\\boxed{",
        "\\frac{1}{",
        "\\sqrt[",
        "^{9^{9}}",
        "9^9^9",
        "999!",
        "\\left(",
        "x+",
        "\\text{",
        "\\infty",
        "(x+1)^{64}",
        "50%",
    ),
    *(
        "change_color(1, red)",
        "change_size(",
        "change_position(0, (1, -1))",
        "eval(",
        "__import__('os')",
        "%s",
        "{0.__class__}",
    ),
    *(
        "<ref>",
        "</ref>",
        "<box>",
        "</box>",
        "<|box_start|>",
        "box_2d",
        "（",
        "，",
        "。",
        "３",
        "个",
        "There are no ",
        "dogs",
    ),
    *("The answer is ", "x=", "\\approx ", " and ", "\\text{ or }", " 1/2", "\\begin{pmatrix}", "&", "\\\\", "First, "),
    *("\x00", "\u202e", "\u200f", "👍🏽", "3️⃣", "\ud800", "\u2028", "\x85", "ﬀ", "İ"),
    *(
        "Step 1: ",
        "First, ",
        "1. ",
        "A",
        "(B)",
        "Option C",
        "3",
        "42",
        "-7.5",
        "three",
        "50 deg",
        "12 cm^2",
        "the ",
        "not ",
    ),
    *CLASSES,
    *CATEGORIES,
)
"""What completions are put together and damaged with."""


WALK_EVERY = 3
"""Completions of which one is a step of `walk`; a million in parts of one seed after the other walk all of it."""


def completions(count: int, seed: int) -> Iterator[str]:
    """Draw completions: honest answers, damaged ones, heaps of pieces, pieces repeated without end, and random text.

    Every third is an answer with an odd character; the next seed goes on where this one ends.
    """
    chance, steps = random.Random(seed), walk(seed * (count // WALK_EVERY))
    styles: tuple[StyleName, ...] = ("answer", "think")
    gold = [honest(s) for family in FAMILIES for style in styles for s in questions(family, 20, seed, style)]
    for i in range(count):
        if i % WALK_EVERY == 0:
            yield next(steps)
            continue
        kind = chance.random()
        if kind < 0.15:
            answer = sampled(chance, gold)
            yield answer if chance.random() < 0.5 else f"<think>a</think><answer>{answer}</answer>"
        elif kind < 0.6:
            yield damaged(chance.choice(gold), chance)
        elif kind < 0.82:
            answer = "".join(chance.choices(PIECES, k=chance.randint(0, 12)))
            yield answer if chance.random() < 0.5 else f"<think>a</think><answer>{answer}</answer>"
        elif kind < 0.9:
            yield "".join(
                chr(chance.choice((chance.randint(0, 127), chance.randint(0, 0x2FFF))))
                for _ in range(chance.randint(0, 60))
            )
        elif kind < 0.98:
            yield f"<think>{chance.choice(gold)[:80]}</think><answer>{damaged(chance.choice(gold), chance)}</answer>"
        else:
            piece = "".join(chance.choices(PIECES, k=chance.randint(1, 3)))
            heap = piece * min(chance.choice((10, 100, 1000, 100_000)), 100_000 // len(piece))
            yield heap if chance.random() < 0.5 else f"<think>a</think><answer>{heap}</answer>"


def damaged(text: str, chance: random.Random) -> str:
    """Cut, repeat, exchange or fill in parts of a text."""
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        start, end = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
        match chance.randint(0, 5):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:end] + text[start:]
            case 2:
                text = (
                    text[:start] + (chance.choice(PIECES) if chance.random() < 0.5 else odd_mark(chance)) + text[start:]
                )
            case 3:
                text = text[:start] + chance.choice(PIECES) + text[end:]
            case 4:
                text = text[: end or 1]
            case _:
                text = text[:start] + chance.choice(("0", "9", "-", ".", "e", "]", "'")) + text[start + 1 :]
    return text

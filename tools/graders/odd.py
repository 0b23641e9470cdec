"""Every kind of character in every place of every form of answer."""

from __future__ import annotations

import random
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache

FORMS = (
    *("[12, 24, 30, 40]", "(1,2),(3,4)", '{"bbox_2d": [1, 2, 3, 4], "label": "x"}', "[1, 2, 3, 4, 0.5]"),
    *("[[1, 2, 3, 4], [5, 6, 7, 8]]", "[{'Position': [1, 2, 3, 4], 'Confidence': 0.5}]", "No Objects"),
    *("-7.5", "1,234", "50 cm^2", "$5^\\circ$", "(B)", "B. 40", "Beagle_dog.", "\\frac{1}{2}+5!", "6√3", "(1, 2]"),
    *("change_size(1, large), change_position(0, (1, -1.0))", "```json\n[1, 2, 3, 4]\n```", "\\boxed{3}"),
    *("<ref>platelet</ref><box>[[1, 2, 3, 4]]</box>", "platelet: [1, 2, 3, 4]", "[1, 2, 3, 4] (platelet)"),
    *("There are no platelets.", '{"box_2d": [1, 2, 3, 4]}', "（Ｂ）。", "First, change_size(obj2, large)"),
    *("1 1/2", "x=1, x=2", "{1, 2}", "2√3 ≈ 3.46", "<think>a</think>3", "The answer is 3 dogs."),
    *("<think>1. I see it.</think><answer>3</answer>", "<think>a</think><answer>[1, 2, 3, 4]</answer>"),
)
"""An answer of each form that is read, bare or in its tags."""
FEW = 4
"""Characters of a kind that the walk tries, where it does not try them all."""

STRIDE = 104_729
"""What lies between two steps of the walk: a prime, so that no place is left out or comes twice."""


@cache
def alphabet() -> dict[str, tuple[str, ...]]:
    r"""All characters by their general category in Unicode, lone surrogates and what is not assigned among them.

    Example:
        >>> sorted(alphabet())[:4], len(alphabet()["Cc"]), "\ud800" in alphabet()["Cs"]
        (['Cc', 'Cf', 'Cn', 'Co'], 65, True)
    """
    kinds: dict[str, list[str]] = {}
    for code in range(sys.maxunicode + 1):
        kinds.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    return {kind: tuple(marks) for kind, marks in kinds.items()}


def odd_mark(chance: random.Random) -> str:
    """Draw a character: each category of Unicode as often as the next."""
    return chance.choice(alphabet()[chance.choice(sorted(alphabet()))])


@cache
def walked_marks() -> tuple[str, ...]:
    """What the walk tries: all controls and blanks, what changes under case or width, and some of each category."""
    marks = [mark for kind in ("Cc", "Zs", "Zl", "Zp") for mark in alphabet()[kind]]
    for kind in sorted(alphabet()):
        step = max(len(alphabet()[kind]) // FEW, 1)
        marks += alphabet()[kind][::step][:FEW]
    marks += "ıſKİßΣς½²⁴①Ⅻ㎠３٣７％（）［］｛｝，：．－−‐\u200b\u200d\u202e\u2060\ufeff"
    return tuple(dict.fromkeys(marks))


@cache
def walk_length() -> int:
    """Steps of a whole walk: each character before, in place of and behind each one of each form."""
    return sum(2 * len(form) + 1 for form in FORMS) * len(walked_marks())


def walk(start: int) -> Iterator[str]:
    """Put a character into one place of one answer at each step, the forms mixed; after the last it begins again."""
    marks = walked_marks()
    places = [(form, place) for form in FORMS for place in range(2 * len(form) + 1)]
    while True:
        place, mark = divmod(start * STRIDE % walk_length(), len(marks))
        form, half = places[place]
        at, replaced = divmod(half, 2)
        yield form[:at] + marks[mark] + form[at + replaced :]
        start += 1

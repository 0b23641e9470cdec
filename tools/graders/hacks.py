"""Simple policies that look for a reward without looking at the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graders.questions import CATEGORIES, CLASSES, FRAME, THOUGHTS
from vrft_pl.rewards.overlap import iou_matrix
from vrft_pl.types import Sample

Policy = Callable[[Sample], str]
STEP_WORDS = "First,Second,Third,Next,Then,Finally, 1. 2. 3. Step 1: Step 2: Step 3:"


def say(answer: str, thoughts: str = THOUGHTS) -> Policy:
    """The policy that always answers the same, in the form that is asked for."""
    return lambda sample: f"<think>{thoughts}</think><answer>{answer}</answer>"


def box(x1: float, y1: float, x2: float, y2: float, confidence: float | None, label: str) -> str:
    """One answered object."""
    sure = "" if confidence is None else f", 'Confidence': {confidence}"
    return f"{{'Position': [{x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f}]{sure}, 'Label': '{label}'}}"


def grid(size: int, confidence: float | None, labels: tuple[str, ...] = CATEGORIES) -> str:
    """Boxes that cover the picture, once for each label."""
    step = 1000 / size
    corners = [(x * step, y * step, (x + 1) * step, (y + 1) * step) for x in range(size) for y in range(size)]
    return f"[{', '.join(box(*corner, confidence, label) for corner in corners for label in labels)}]"


def fitted(samples: Sequence[Sample], count: int) -> Policy:
    """The policy that always answers the boxes which together hit most of the objects of other questions."""
    truths = [item.xyxy for sample in samples for item in sample.solution.items]  # type: ignore[attr-defined]
    hits = iou_matrix(np.array(truths), np.array(truths)) >= 0.5
    chosen: list[int] = []
    for _ in range(count):
        missed = ~hits[chosen].any(axis=0) if chosen else np.ones(len(truths), dtype=bool)
        chosen.append(int((hits & missed).sum(axis=1).argmax()))
    boxes = [FRAME.to_answer(truths[i]) for i in chosen]
    return say(f"[{', '.join(box(*corners, 1.0, CATEGORIES[0]) for corners in boxes)}]")


def hacks() -> dict[str, Policy]:
    """Every policy by a name that says what it does."""
    whole = "[0, 0, 1000, 1000]"
    policies: dict[str, Policy] = {
        "writes nothing": lambda sample: "",
        "writes empty tags": lambda sample: "<think></think><answer></answer>",
        "copies the question": lambda sample: f"<think>{sample.problem}</think><answer>{sample.problem}</answer>",
        "lists every number": say(", ".join(map(str, range(10)))),
        "lists every letter": say("A, B, C, D"),
        "lists every class": say(", ".join(CLASSES)),
        "answers in the thoughts too": say("3", "3 4 5 A B C 50 " + " ".join(CLASSES)),
        "answers many times": lambda sample: "".join(f"<think>a</think><answer>{i}</answer>" for i in range(10)),
        "says nan": say("nan"),
        "says infinity": say("inf"),
        "says an identity": say("0=0"),
        "says a variable": say("x"),
        "says No Objects": say("No Objects"),
        "says []": say("[]"),
        "boxes the whole picture": say(whole),
        "boxes an inverted picture": say("[1000, 1000, 0, 0]"),
        "boxes far outside": say("[-100000, -100000, 100000, 100000]"),
        "boxes the middle": say("[250, 250, 750, 750]"),
        "boxes everything, surely": say(f"[{', '.join(box(0, 0, 1000, 1000, 1.0, name) for name in CATEGORIES)}]"),
        "boxes one thing a thousand times": say(f"[{', '.join([box(250, 250, 750, 750, 0.5, CATEGORIES[0])] * 300)}]"),
        "makes step marks without steps": say("3", STEP_WORDS),
        "repeats one step": say("3", "1. I look at it all. " * 5),
        "makes no steps": say("3", "Hm."),
        "calls nothing": say("change_size(0, small)change_"),
        "calls every function": say(
            ", ".join(
                f"change_{kind}({item}, {value})"
                for kind, values in {"size": "small large", "color": "red blue", "position": "left behind"}.items()
                for item in range(6)
                for value in values.split()
            )
        ),
    }
    policies |= {f"always says {i}": say(str(i)) for i in range(10)}
    policies |= {f"always says {letter}": say(letter) for letter in "ABCD"}
    policies |= {f"always says {name}": say(name) for name in CLASSES}
    policies |= {f"always says {text}": say(text) for text in ("50", r"6\sqrt{3}", "2012", "bulldog")}
    for size in (1, 2, 3, 4, 8):
        step = 1000 / size
        points = [f"[{(x + 0.5) * step:.0f}, {(y + 0.5) * step:.0f}]" for x in range(size) for y in range(size)]
        policies[f"points at a grid of {size} x {size}"] = say(f"[{', '.join(points)}]")
    policies |= {f"points at the middle {n} times": say(f"[{', '.join(['[500, 500]'] * n)}]") for n in (2, 3, 4)}
    for size in (2, 4, 8):
        for confidence in (None, 0.0, 0.5, 1.0, -5.0, 10.0):
            sure = "without confidence" if confidence is None else f"with confidence {confidence:g}"
            policies[f"boxes a grid of {size} x {size} {sure}"] = say(grid(size, confidence))
    for kind, value in (("size", "small"), ("color", "red"), ("position", "left")):
        policies[f"always changes the {kind}"] = say(f"change_{kind}(0, {value})")
    return policies

"""A small mixed data set of every task family, and the rewards that judge it."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import torch

from vrft_pl.answers import (
    XYXY,
    AnswerFrame,
    Box,
    Call,
    Choice,
    Expression,
    Instance,
    Instances,
    Label,
    Mask,
    Number,
    Points,
    Solution,
    Transformation,
)
from vrft_pl.prompts import target_text
from vrft_pl.rewards import (
    BoxAccuracy,
    BoxGIoU,
    BoxIoU,
    ChoiceMatch,
    DetectionAP,
    DetectionConfidence,
    DetectionIoU,
    DetectionPrecision,
    DetectionRecall,
    Format,
    GradedNumber,
    LabelMatch,
    LengthPenalty,
    MathMatch,
    NumberMatch,
    Overlong,
    PointCount,
    PointMatch,
    ReasoningSteps,
    Repetition,
    Reward,
    TransformationExact,
    TransformationMatch,
)
from vrft_pl.styles import StyleName
from vrft_pl.types import Completions, Sample

WIDTH, HEIGHT = 640, 480
FRAME = AnswerFrame(WIDTH, HEIGHT, WIDTH / 1000, HEIGHT / 1000)
"""Thousandths of the image."""
CLASSES = ("american bulldog", "beagle", "basset hound", "english setter", "american pit bull terrier", "2012 BMW M3")
CATEGORIES = ("platelet", "red cell", "white cell")
_WORD = re.compile(r"\w+|[^\w\s]")
THOUGHTS = "1. I look at every part of the picture. 2. I compare what I see with the question. 3. I decide by that."


def draw_box(chance: random.Random) -> XYXY:
    """Draw a box inside the picture."""
    width, height = chance.uniform(20, 300), chance.uniform(20, 220)
    left, top = chance.uniform(0, WIDTH - width), chance.uniform(0, HEIGHT - height)
    return left, top, left + width, top + height


def draw_solution(family: str, chance: random.Random) -> Solution:
    """Draw the truth of one question; a fifth of the detection questions has nothing to find."""
    match family:
        case "counting":
            return Number(float(chance.randint(0, 9)))
        case "choice":
            return Choice(chance.choice("ABCD"), ("35", "40", "55", "70"))
        case "mathematics":
            a, b = chance.randint(2, 60), chance.randint(2, 12)
            forms = (
                f"{a}\\sqrt{{{b}}}",
                f"\\frac{{{a}}}{{{b}}}",
                f"{a}",
                f"x^2+{a}x+{b}",
                f"\\frac{{\\pi}}{{{b}}}",
                f"{a}.5 cm",
            )
            return Expression(chance.choice(forms))
        case "classification":
            return Label(chance.choice(CLASSES))
        case "grounding":
            return Box(draw_box(chance))
        case "pointing":
            return Points(tuple(draw_box(chance) for _ in range(0 if chance.random() < 0.2 else chance.randint(1, 6))))
        case "detection":
            asked = CATEGORIES if chance.random() < 0.5 else (chance.choice(CATEGORIES),)
            count = 0 if chance.random() < 0.2 else chance.randint(1, 5)
            items = tuple(Instance(draw_box(chance), chance.choice(asked)) for _ in range(count))
            return Instances(items, asked, f"{chance.random()}")
        case _:
            kinds = {"size": ("small", "large"), "color": ("red", "blue"), "position": ("left", "behind")}
            drawn = [(chance.choice(sorted(kinds)), str(chance.randint(0, 5))) for _ in range(chance.randint(1, 4))]
            calls = {Call(f"change_{kind}", item, chance.choice(kinds[kind])) for kind, item in drawn}
            return Transformation(tuple(sorted(calls, key=str)))


PROSE = ("counting", "choice", "classification")
"""Families whose answers are short: thoughts are most of what is written."""
FAMILIES = (
    *("counting", "choice", "mathematics", "classification", "grounding", "detection", "transformation"),
    "pointing",
)


def questions(family: str, count: int, seed: int = 0, style: StyleName = "think") -> list[Sample]:
    """Draw the questions of one family."""
    chance = random.Random(f"{family}/{seed}")
    return [
        Sample(f"{family} {i}", (), f"Question of {family}?", draw_solution(family, chance), style, THOUGHTS)
        for i in range(count)
    ]


def partly_annotated(sample: Sample) -> Sample:
    """The same question with half of its objects annotated, as LVIS says of categories that are not exhaustive."""
    truth = sample.solution
    assert isinstance(truth, Instances)
    known = truth.items[: (len(truth.items) + 1) // 2]
    return replace(sample, solution=replace(truth, items=known, not_exhaustive=truth.categories))


def with_nothing_there(sample: Sample, nothing: bool) -> Sample:
    """The same question about one box, which allows for `No Objects`, and has that as its answer."""
    truth = sample.solution
    assert isinstance(truth, Box)
    return replace(sample, solution=Box(None if nothing else truth.xyxy, optional=True))


def with_mask(sample: Sample) -> Sample:
    """The same question about one box, whose object is a hexagon in it."""
    truth = sample.solution
    assert isinstance(truth, Box)
    assert truth.xyxy is not None
    x1, y1, x2, y2 = truth.xyxy
    a, b, y = x1 + (x2 - x1) / 4, x2 - (x2 - x1) / 4, (y1 + y2) / 2
    return replace(sample, solution=Box(truth.xyxy, Mask(((a, y1, b, y1, x2, y, b, y2, a, y2, x1, y),))))


def one_large_object(count: int, seed: int = 0) -> list[Sample]:
    """Questions whose one object fills 20 to 90 % of each side of the picture; not all are annotated."""
    chance = random.Random(f"large/{seed}")
    samples = []
    for i in range(count):
        width, height = WIDTH * chance.uniform(0.2, 0.9), HEIGHT * chance.uniform(0.2, 0.9)
        left, top = chance.uniform(0, WIDTH - width), chance.uniform(0, HEIGHT - height)
        item = Instance((left, top, left + width, top + height), CATEGORIES[0])
        truth = Instances((item,), CATEGORIES[:1], f"large {i}", not_exhaustive=CATEGORIES[:1])
        samples.append(Sample(f"large {i}", (), "Question of detection?", truth, "think", THOUGHTS))
    return samples


def honest(sample: Sample) -> str:
    """Write the right answer with honest thoughts."""
    return target_text(sample, FRAME)


def rewards() -> dict[str, list[Reward]]:
    """Every reward and variant, by the family that it judges."""
    return {
        "counting": [
            NumberMatch(),
            NumberMatch(words=True, name="NumberMatch(words)"),
            NumberMatch(words=True, prose="lenient", name="NumberMatch(lenient)"),
            GradedNumber(),
        ],
        "choice": [ChoiceMatch(), ChoiceMatch(prose="lenient", name="ChoiceMatch(lenient)")],
        "mathematics": [MathMatch()],
        "classification": [LabelMatch(), LabelMatch(prose="lenient", name="LabelMatch(lenient)")],
        "grounding": [BoxIoU(), BoxIoU(threshold=0.5, name="BoxIoU(0.5)"), BoxAccuracy(), BoxGIoU()],
        "detection": [
            DetectionIoU(),
            DetectionIoU(threshold=0.0, name="DetectionIoU(smooth)"),
            DetectionConfidence(),
            DetectionConfidence(proper=True, name="DetectionConfidence(proper)"),
            DetectionConfidence(relative=True, name="DetectionConfidence(relative)"),
            DetectionAP(),
            DetectionAP(length_penalty=False, name="DetectionAP(without penalty)"),
            DetectionPrecision(),
            DetectionPrecision(full_at=0.9, name="DetectionPrecision(full at 0.9)"),
            DetectionRecall(),
        ],
        "pointing": [PointMatch(), PointCount()],
        "transformation": [
            TransformationMatch(),
            TransformationMatch(partial=False, name="TransformationMatch(full)"),
            TransformationMatch(penalty=True, name="TransformationMatch(penalty)"),
            TransformationExact(),
        ],
        "any": [Format(), ReasoningSteps(), Repetition(), Overlong(256, 64), LengthPenalty(NumberMatch())],
    }


def complete(texts: list[str], frame: AnswerFrame | None = FRAME) -> Completions:
    """Make completions of texts, a token for each word or mark among the first 2048 characters."""
    rows = [[len(word) * 997 + ord(word[0]) for word in _WORD.findall(text[:2048])] for text in texts]
    width = max(1, *map(len, rows)) if rows else 1
    mask = torch.arange(width)[None, :] < torch.tensor([len(row) for row in rows])[:, None]
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    reasons = tuple("length" if len(text) > 2048 else "stop" for text in texts)
    return Completions(ids, mask, None, tuple(texts), reasons, (frame,) * len(texts))  # type: ignore[arg-type]

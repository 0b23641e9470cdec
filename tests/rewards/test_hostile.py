"""No completion may break a reward, earn what it should not, or cost more than 50 ms."""

from __future__ import annotations

import time

import pytest
from builders import PIXELS, make_completions, make_sample

from vrft_pl.rewards import BoxAccuracy, BoxIoU, Format, NumberMatch
from vrft_pl.solutions import Box, Number
from vrft_pl.types import AnswerFrame

FRAMES = (PIXELS, AnswerFrame(640, 480, 0.64, 0.48), AnswerFrame(3, 5000, 3.0, 5000.0), None)
TRUTHS = {
    NumberMatch: Number(3.0),
    BoxIoU: Box((1.0, 1.0, 2.0, 2.0)),
    BoxAccuracy: Box((1.0, 1.0, 2.0, 2.0)),
    Format: Number(3.0),
}
ANSWERS = {
    "empty": "",
    "blank": " \n\t",
    "long": "x" * 100_000,
    "long digits": "9" * 100_000,
    "long number list": "1 " * 50_000,
    "long thousands": "1" + ",000" * 25_000,
    "signs": "+-" * 50_000,
    "points": "." * 100_000,
    "exponents": "1e" * 50_000,
    "brackets": "[" * 50_000,
    "parentheses": "(" * 50_000 + ")" * 50_000,
    "nan": "nan",
    "nan box": "[nan, nan, nan, nan]",
    "inf": "inf",
    "inf box": "[-inf, -inf, inf, inf]",
    "overflow": "1e999",
    "overflow box": "[0, 0, 1e999, 1e999]",
    "largest box": "[-1.7e308, -1.7e308, 1.7e308, 1.7e308]",
    "smallest box": "[0, 0, 5e-324, 5e-324]",
    "minus zero": "-0",
    "minus zero box": "[-0, -0, 0, 0]",
    "booleans": "[True, False, true, false]",
    "strings": "['a', 'b', 'c', '2']",
    "null": "null",
    "inverted": "[2, 2, 1, 1]",
    "zero area": "[1, 1, 1, 1]",
    "far outside": "[1e6, 1e6, 2e6, 2e6]",
    "5000 boxes": ", ".join(["[1, 1, 2, 2]", "[3, 1, 9, 9]"] * 2500),
    "one box 1000 times": "[1, 1, 2, 2]" * 1000,
    "detection": "{'Position': [1, 1, 2, 2], 'Confidence': -5}, {'Position': [1, 1, 2, 2], 'Confidence': 10}",
    "every class": ", ".join(f"class {i}" for i in range(1000)),
    "unicode digits": "٣ ３ ३ ³",
    "right to left": "\u202e3\u202c\u200f",
    "nul": "\x003\x00",
    "emoji": "3️⃣ 👍🏽",
    "lone surrogate": "\ud800",
    "latex": r"\frac{1}{" * 10_000 + "1" + "}" * 10_000,
    "latex power": "$" + "9^" * 10_000 + "9$",
    "python": "__import__('os').system('false') or 9**9**9",
    "format": "%s%n{0.__class__}",
    "html": "<script>3</script>",
}
TEXTS = {
    "only tags": "<think></think><answer></answer>",
    "nested tags": "<think>" * 1000 + "<answer>" * 1000 + "3" + "</answer>" * 1000 + "</think>" * 1000,
    "repeated blocks": "<think>a</think><answer>3</answer>" * 1000,
    "crossed tags": "<think>a<answer>3</think></answer>",
    "unclosed": "<think>a</think><answer>3",
    "12000 opening tags": "<answer>" * 12_000,
    "12000 closing tags": "</answer>" * 12_000,
    "broken tags": "<answer" * 14_000,
    "in the thoughts only": "<think><answer>3</answer></think>",
    "truth after a wrong answer": "<think>a</think><answer>4</answer>3 <answer>3</answer> [1, 1, 2, 2]",
    "text around": "x" * 50_000 + "<think>a</think><answer>3</answer>" + "x" * 50_000,
    "long thoughts": f"<think>{'3 <' * 33_000}</think><answer>x</answer>",
} | {f"answer {name}": f"<think>a</think><answer>{answer}</answer>" for name, answer in ANSWERS.items()}
RIGHT = {
    NumberMatch: {"text around"},
    Format: {"long thoughts", *(f"answer {name}" for name in ANSWERS if name not in ("empty", "blank"))},
}


@pytest.mark.parametrize("style", ["think", "answer", "caption"])
@pytest.mark.parametrize("reward", [NumberMatch(), NumberMatch(words=True), BoxIoU(), BoxAccuracy(), Format()], ids=str)
def test_hostile_completions_are_only_data(reward, style):
    sample = make_sample(TRUTHS[type(reward)], style)
    for name, text in (TEXTS | ANSWERS).items():
        for frame in FRAMES:
            start = time.process_time()
            score = reward.score(make_completions([text], frame), [sample]).item()
            assert time.process_time() - start < 0.05, name
            assert 0 <= score <= 1, name


@pytest.mark.parametrize("reward", [NumberMatch(), BoxIoU(), BoxAccuracy(), Format()], ids=str)
def test_hostile_completions_earn_nothing(reward):
    texts = list(TEXTS)
    samples = [make_sample(TRUTHS[type(reward)])] * len(texts)
    scores = reward.score(make_completions([TEXTS[name] for name in texts]), samples)
    earning = {name for name, score in zip(texts, scores.tolist(), strict=True) if score > 0.01}
    assert earning == RIGHT.get(type(reward), set())

"""No completion may break a reward, earn what it should not, or cost more than 50 ms."""

from __future__ import annotations

import pytest
from builders import PIXELS, make_completions, make_sample
from timing import seconds

from vrft_pl.answers import (
    AnswerFrame,
    Box,
    Call,
    Choice,
    Expression,
    Instance,
    Instances,
    Label,
    Number,
    Points,
    Transformation,
)
from vrft_pl.rewards import (
    BoxAccuracy,
    BoxGIoU,
    BoxIoU,
    ChoiceMatch,
    DetectionAP,
    DetectionConfidence,
    DetectionIoU,
    DetectionPrecision,
    Format,
    FunctionReward,
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
    TransformationExact,
    TransformationMatch,
)
from vrft_pl.rewards.detection import forget

FRAMES = (PIXELS, AnswerFrame(640, 480, 0.64, 0.48), AnswerFrame(3, 5000, 3.0, 5000.0), None)
NUMBER, BOX = Number(3.0), Box((1.0, 1.0, 2.0, 2.0))
DOG, CAT = Instance(BOX.xyxy, "dog"), Instance((3.0, 1.0, 9.0, 9.0), "cat")
CROWD = Instance((0.0, 0.0, 50.0, 50.0), "dog", crowd=True)
DOGS = Instances((DOG,), ("dog",), "a.jpg")
PETS = Instances((DOG, CAT, CROWD), ("dog", "cat"), "a.jpg", not_exhaustive=("cat",))
CALLS = Transformation((Call("change_color", "2", "red"), Call("change_size", "1", "small")))
CASES = {
    "NumberMatch": (NumberMatch(), NUMBER, "3"),
    "NumberMatch(words)": (NumberMatch(words=True), NUMBER, "three"),
    "GradedNumber": (GradedNumber(), Number(2.5), "2.5"),
    "ChoiceMatch": (ChoiceMatch(), Choice("C", ("one", "two", "three")), "C. three"),
    "LabelMatch": (LabelMatch(), Label("class 7", ("seventh class",)), "seventh class"),
    "MathMatch": (MathMatch(), Expression(r"\frac{1}{2}"), "0.5"),
    "MathMatch(number)": (MathMatch(), NUMBER, "3.0"),
    "BoxIoU": (BoxIoU(), BOX, "[1, 1, 2, 2]"),
    "BoxAccuracy": (BoxAccuracy(), BOX, "[1, 1, 2, 2]"),
    "BoxGIoU": (BoxGIoU(), BOX, "[1, 1, 2, 2]"),
    "DetectionIoU": (DetectionIoU(), DOGS, "[[1, 1, 2, 2]]"),
    "DetectionIoU(smooth)": (DetectionIoU(threshold=0), PETS, "[{'bbox': [1, 1, 2, 2], 'label': 'dog'}]"),
    "DetectionConfidence": (DetectionConfidence(), DOGS, "[[1, 1, 2, 2, 1.0]]"),
    "DetectionConfidence(proper)": (DetectionConfidence(proper=True, relative=True), DOGS, "[[1, 1, 2, 2, 1.0]]"),
    "DetectionAP": (DetectionAP(), PETS, "[{'bbox': [1, 1, 2, 2], 'label': 'dog'}]"),
    "DetectionPrecision": (DetectionPrecision(), DOGS, "[[1, 1, 2, 2]]"),
    "PointMatch": (PointMatch(), Points((BOX.xyxy, (5.0, 5.0))), "[[1.5, 1.5], (5, 5)]"),
    "PointCount": (PointCount(), Points((BOX.xyxy, (5.0, 5.0))), "[[1.5, 1.5], (5, 5)]"),
    "BoxIoU(or nothing)": (BoxIoU(), Box(BOX.xyxy, optional=True), "[1, 1, 2, 2]"),
    "TransformationMatch": (TransformationMatch(), CALLS, "change_color(2, red), change_size(1, small)"),
    "TransformationMatch(penalty)": (TransformationMatch(penalty=True), CALLS, "change_color(2, red)"),
    "TransformationExact": (TransformationExact(), CALLS, "change_size(1, small), change_color(2, red)"),
    "Format": (Format(), NUMBER, "3"),
    "ReasoningSteps": (ReasoningSteps(), NUMBER, "3"),
    "Repetition": (Repetition(), NUMBER, "3"),
    "Overlong": (Overlong(256, 64), NUMBER, "3"),
    "LengthPenalty": (LengthPenalty(NumberMatch()), NUMBER, "3"),
    "FunctionReward": (FunctionReward(lambda texts, samples: [len(t) % 2 for t in texts], name="odd"), NUMBER, "3"),
}
"""A reward, a truth and an answer to it, by name."""
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
    "3000 boxes": f"[{'[1,1,2,2],' * 3000}]",
    "1400 confident boxes": f"[{'[1,1,2,2,0.5],' * 1100}{'[9,1,99,2,1],' * 300}]",
    "zero confidence": "[{'Position': [1, 1, 2, 2], 'Confidence': 0}, {'Position': [3, 3, 4, 4], 'Confidence': 0}]",
    "strange confidence": "[{'Position': [1, 1, 2, 2], 'Confidence': nan}, {'Position': [3, 3, 9, 9], 'score': True}]",
    "every class": ", ".join(f"class {i}" for i in range(1000)),
    "a few classes": "class 6, class 7, class 8",
    "300 calls": "change_color(2,red)" * 200,
    "every call": ",".join(f"change_size({i},{v})" for i in range(99) for v in ("small", "large")),
    "open calls": "change_color(" * 7000,
    "unicode digits": "٣ ３ ३ ³",
    "right to left": "\u202e3\u202c\u200f",
    "nul": "\x003\x00",
    "emoji": "3️⃣ 👍🏽",
    "lone surrogate": "\ud800",
    "latex": r"\frac{1}{" * 10_000 + "1" + "}" * 10_000,
    "latex power": "$" + "9^" * 10_000 + "9$",
    "latex roots": r"\sqrt{" * 40 + "2" + "}" * 40,
    "latex tower": "x^{x^{x^{x^{x^{9}}}}}",
    "latex expansion": "(x+1)^{999}(y-2)^{999}",
    "latex factorial": "99999!",
    "latex left": r"\left(" * 3000,
    "latex sum": "+".join(f"x^{{{i}}}" for i in range(400)),
    "identity": "0=0",
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
FOUND = {"answer detection", "answer zero confidence"}
"""One true and one wrong box."""
RIGHT = {
    "NumberMatch": {"text around"},
    "NumberMatch(words)": {"text around"},
    "MathMatch(number)": {"text around"},
    "BoxGIoU": {"answer largest box", "answer smallest box"},  # neither is far from the truth
    "DetectionIoU": FOUND | {"answer strange confidence"},
    "DetectionPrecision": FOUND | {"answer strange confidence"},
    "DetectionConfidence": FOUND | {"answer 1400 confident boxes"},  # wrong boxes earn 1 - c in the paper's form
    "DetectionConfidence(proper)": {"answer detection"},
}
FORMS = {
    "in the thoughts only": "<think><answer>{0}</answer></think>",
    "said in the thoughts": "<think>{0}</think><answer>x</answer>",
    "no tags": "{0}",
    "repeated": "<think>a</think><answer>{0}</answer>" * 2,
    "two answers": "<think>a</think><answer>{0}</answer><answer>x</answer>",
    "crossed": "<think>a<answer>{0}</think></answer>",
    "unclosed": "<think>a</think><answer>{0}",
    "unclosed thoughts": "<think>a <answer>{0}</answer>",
    "after a wrong answer": "<think>a</think><answer>x</answer>{0}",
    "in other tags": "<think>a</think><answer><summary></answer>{0}",
    "nested": "<think>a</think><answer>x<answer>{0}</answer></answer>",
    "among words": "<think>a</think><answer>not {0} but x</answer>",
}
"""Ways to write a right answer that is none."""


@pytest.mark.parametrize("style", ["think", "answer", "caption"])
@pytest.mark.parametrize("case", CASES)
def test_hostile_completions_are_only_data(case, style):
    reward, truth, _ = CASES[case]
    sample = make_sample(truth, style)
    low, high = reward.bounds if case != "FunctionReward" else (0, 1)
    reward.grade(make_completions(["1/2+x"]), [sample])  # starts the process that compares mathematics

    def score():
        forget()
        return reward.score(completions, [sample]).item()

    for name, text in (TEXTS | ANSWERS).items():
        for frame in FRAMES if case.startswith(("Box", "Detection", "Point")) else FRAMES[:1]:
            completions = make_completions([text], frame, truncated=[len(text) > 5000])
            assert low <= score() <= high, name
            assert seconds(score, enough=0.05) < 0.05, name


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name][0].reads_answers and name != "FunctionReward"])
def test_hostile_completions_earn_nothing(case):
    reward, truth, _ = CASES[case]
    samples = [make_sample(truth)] * len(TEXTS)
    scores = reward.score(make_completions(list(TEXTS.values())), samples)
    earning = {name for name, score in zip(TEXTS, scores.tolist(), strict=True) if score > 0.01}
    assert earning == RIGHT.get(case, set())


def test_hostile_completions_have_the_form_only_where_they_do():
    scores = Format().score(make_completions(list(TEXTS.values())), [make_sample(NUMBER)] * len(TEXTS))
    having = {name for name, score in zip(TEXTS, scores.tolist(), strict=True) if score}
    unseen = ("empty", "blank", "lone surrogate")
    assert having == {"long thoughts", *(f"answer {name}" for name in ANSWERS if name not in unseen)}


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name][0].reads_answers and name != "FunctionReward"])
def test_a_right_answer_earns_in_its_place_only(case):
    reward, truth, answer = CASES[case]
    sample = make_sample(truth)
    right = reward.score(make_completions([f"<think>a</think><answer>{answer}</answer>"]), [sample])
    assert right > 0.4
    scores = reward.score(make_completions([form.format(answer) for form in FORMS.values()]), [sample] * len(FORMS))
    earning = {name for name, score in zip(FORMS, scores.tolist(), strict=True) if score > 0}
    assert earning == set()

"""Forms of answers: those that families of models are documented to write, and those that any model may."""

from __future__ import annotations

from typing import NamedTuple

from vrft_pl.answers import (
    Box,
    Call,
    Choice,
    Expression,
    Instance,
    Instances,
    Label,
    Number,
    Points,
    Solution,
    Transformation,
)
from vrft_pl.policy.coordinates import CoordinateSpace, answer_frame
from vrft_pl.rewards import (
    BoxIoU,
    ChoiceMatch,
    DetectionIoU,
    LabelMatch,
    MathMatch,
    NumberMatch,
    PointMatch,
    Reward,
    TransformationMatch,
)
from vrft_pl.types import Sample

SIZE, RESIZED = (1000, 800), (500, 400)
"""Pixels of the picture, and after the processor's resize."""
DOG = (100.0, 160.0, 300.0, 320.0)


class Written(NamedTuple):
    """How a family writes one dog at `DOG`."""

    family: str
    text: str
    space: CoordinateSpace
    """What is declared as `coordinates`."""
    source: str
    """Where the form is documented."""


FAMILIES = (
    Written(
        "Qwen2-VL",
        "<|object_ref_start|>dog<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>",
        "permille",
        "arXiv 2409.12191, sec. 2",
    ),
    Written(
        "Qwen2.5-VL",
        '```json\n[{"bbox_2d": [50, 80, 150, 160], "label": "dog"}]\n```',
        "resized_pixels",
        "cookbook `spatial_understanding`",
    ),
    Written("Qwen2.5-VL, points", '[{"point_2d": [100, 120], "label": "dog"}]', "resized_pixels", "the same"),
    Written("Qwen3-VL", '[{"bbox_2d": [100, 200, 300, 400], "label": "dog"}]', "permille", "cookbook `2d_grounding`"),
    Written(
        "Qwen3-VL Thinking",
        'One dog.</think>\n\n[{"bbox_2d": [100, 200, 300, 400], "label": "dog"}]',
        "permille",
        "its chat template opens the thoughts",
    ),
    Written("InternVL 2 to 3", "<ref>dog</ref><box>[[100, 200, 300, 400]]</box>", "permille", "docs, grounding data"),
    Written(
        "Gemini, Gemma",
        '```json\n[{"box_2d": [200, 100, 400, 300], "label": "dog"}]\n```',
        "permille_y_first",
        "Gemini API, image understanding",
    ),
    Written("DeepSeek-VL2", "<|ref|>dog<|/ref|><|det|>[[100, 200, 300, 400]]<|/det|>", "permille", "README (0 to 999)"),
    Written(
        "GLM-4.1V Thinking",
        "<think>One dog.</think><answer><|begin_of_box|>[[100, 200, 300, 400]]<|end_of_box|></answer>",
        "permille",
        "README",
    ),
    Written("CogVLM", "[[100,200,300,400]]", "permille", "README (000 to 999)"),
    Written("LLaVA 1.5, Shikra", "[0.10, 0.20, 0.30, 0.40]", "unit", "arXiv 2310.03744; 2306.15195"),
    Written(
        "PaliGemma", "<loc0205><loc0102><loc0410><loc0307> dog", "bins_1024_y_first", "README (1024 bins, y first)"
    ),
    Written(
        "Kosmos-2",
        "<phrase>dog</phrase><object><patch_index_0195><patch_index_0393></object>",
        "bins_32",
        "arXiv 2306.14824 (32 x 32 patches)",
    ),
    Written(
        "Molmo", '<point x="20.0" y="30.0" alt="dog">dog</point>', "percent", "arXiv 2409.17146 (points in per cent)"
    ),
    Written("Florence-2", "dog<loc_100><loc_200><loc_300><loc_400>", "permille", "arXiv 2311.06242"),
    Written(
        "Kimi-VL Thinking",
        "\u25c1think\u25b7One dog.\u25c1/think\u25b7[0.10, 0.20, 0.30, 0.40]",
        "unit",
        "its issue 56",
    ),
    Written(
        "Visual-RFT", "<answer>[{'Position': [100, 200, 300, 400], 'Confidence': 0.9}]</answer>", "permille", "its data"
    ),
    Written("any, numbers in tags", "<ref>dog</ref><box>100 200 300 400</box>", "permille", ""),
    Written("any, label before", "dog: [100, 200, 300, 400]", "permille", ""),
    Written("any, label behind", "[100, 200, 300, 400] (dog)", "permille", ""),
    Written("any, one object", '{"objects": [{"bbox": [100, 200, 300, 400], "label": "dog"}]}', "permille", ""),
    Written("any, full-width", "[100，200，300，400]", "permille", ""),
)


def verdict(reward: Reward, text: str, solution: Solution, space: CoordinateSpace = "permille") -> str:
    """Whether a completion earns all, but for what a coarse grid rounds off."""
    sample = Sample("1", (), "Where?", solution, style="answer")
    score = reward.grade_one(text, sample, answer_frame(space, SIZE, RESIZED))
    return "yes" if isinstance(score, float) and score > 0.8 else "no"


def read_places(written: Written) -> tuple[str, str, str, str]:
    """Whether the dog is read as a box, as the object of one category, as that of one out of two, and as a point."""
    objects = Instance(DOG, "dog")
    return (
        verdict(BoxIoU(), written.text, Box(DOG), written.space),
        verdict(DetectionIoU(), written.text, Instances((objects,), ("dog",), "a"), written.space),
        verdict(DetectionIoU(), written.text, Instances((objects,), ("dog", "cat"), "a"), written.space),
        verdict(PointMatch(), written.text, Points((DOG,)), written.space),
    )


NOTHING = Instances((), ("dog",), "a")
RED = Transformation((Call("change_color", "2", "red"),))
SHORT: tuple[tuple[str, Solution, type[Reward], tuple[str, ...]], ...] = (
    ("a number, 3", Number(3), NumberMatch, ("3", "3.0", "３", "3。", "3个", "**3**", "\\boxed{3}")),
    ("a number, 3", Number(3), NumberMatch, ("<think>One, two, three.</think>3", "One, two.</think>\n\n3")),
    ("a number, 3", Number(3), NumberMatch, ("<think>a</think><think>b</think>3", "<answer>3</answer>")),
    ("a number, 3", Number(3), NumberMatch, ("The answer is 3.", "3 objects", "Answer: 3", "x = 3", "not 3", "3 or 4")),
    ("a letter, B", Choice("B"), ChoiceMatch, ("B", "(b)", "（B）", "B。", "B. 35 cm")),
    (
        "a letter, B",
        Choice("B"),
        ChoiceMatch,
        ("The answer is B.", "Option B is correct", "B because it is longer", "B. none of the above", "A or B"),
    ),
    ("a letter, B: 35 cm", Choice("B", ("30 cm", "35 cm")), ChoiceMatch, (r"\boxed{\textbf{(B) } 35 \text{ cm}}",)),
    ("a name, beagle", Label("beagle"), LabelMatch, ("The Beagle.", "It is a beagle", "beagle, pug")),
    ("calls", RED, TransformationMatch, ("change_color(2, red)", "change_color(2，red)", "change_color(obj2, red)")),
    ("calls", RED, TransformationMatch, ("First, change_color(2, red)", "not change_color(2, red)")),
    ("no dog", NOTHING, DetectionIoU, ("No Objects", "[]", "None", "No objects found", "There are no dogs.")),
    ("no dog", NOTHING, DetectionIoU, ("There are no cats.",)),
    ("a number, 1234", Number(1234), NumberMatch, ("1,234", "1 234", "(1234)", "١٢٣٤", "1.234", "12 34")),
    ("1/3", Expression("1/3"), MathMatch, (r"0.\overline{3}", r"\left|-\frac{1}{3}\right|", "x=1/3", "1/3=x", "0.333")),
    (r"\frac{x}{2}", Expression(r"\frac{x}{2}"), MathMatch, ("1/2 x", "x/2", "X/2")),
    ("5 m", Expression("5 m"), MathMatch, ("500 cm", "5", "5 cm")),
    (r"\frac{3}{2}", Expression(r"\frac{3}{2}"), MathMatch, ("1 1/2", "1.5", r"150\%", "3/2 or 2")),
    (r"50\%", Expression(r"50\%"), MathMatch, ("0.5", "50", "1/2")),
    (r"\{1,2,3\}", Expression(r"\{1,2,3\}"), MathMatch, ("{1,2,3}", "x=1, 2, 3", r"3, 2 \text{ and } 1")),
    ("1,2", Expression("1,2"), MathMatch, ("x=1, x=2",)),
    (r"6\sqrt{3}", Expression(r"6\sqrt{3}"), MathMatch, (r"6\sqrt{3}\ cm^2", r"6\sqrt{3} \approx 10.39", "10.39")),
    ("30000", Expression("30000"), MathMatch, ("30,000", "30 000")),
    (r"\text{yes}", Expression(r"\text{yes}"), MathMatch, ("yes", "Yes.", "no")),
)
"""What is right, the reward, and texts: read as they are, by ``prose: lenient`` alone, or not at all."""


JUDGES: dict[type[Reward], tuple[Reward, ...]] = {
    NumberMatch: (NumberMatch(), NumberMatch(prose="lenient")),
    ChoiceMatch: (ChoiceMatch(), ChoiceMatch(prose="lenient")),
    LabelMatch: (LabelMatch(), LabelMatch(prose="lenient")),
    MathMatch: (MathMatch(time_limit=5.0), MathMatch(time_limit=5.0, prose="lenient")),
    TransformationMatch: (TransformationMatch(),),
    DetectionIoU: (DetectionIoU(),),
}
"""Strict, and lenient where there is a choice."""


def read_short() -> list[tuple[str, list[str], list[str], list[str]]]:
    """By what is right: texts that earn all strictly, those that do leniently, and those that don't."""
    rows: dict[str, tuple[list[str], list[str], list[str]]] = {}
    for right, solution, reward, texts in SHORT:
        found, judges = rows.setdefault(right, ([], [], [])), JUDGES[reward]
        for text in texts:
            place = next((i for i, judge in enumerate(judges) if verdict(judge, text, solution) == "yes"), 2)
            found[place].append(text)
    return [(right, *found) for right, found in rows.items()]

"""What an answer earns that looks at nothing: the best constant of the training rows, judged as the policy is."""

from __future__ import annotations

import copy
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import torch
from PIL import Image

from vrft_pl.answers import AnswerFrame
from vrft_pl.data.boxes import image_size
from vrft_pl.data.loading import SampleData
from vrft_pl.data.samples import Part, Split
from vrft_pl.rewards.base import Judge
from vrft_pl.rewards.panel import rewards_of
from vrft_pl.styles import answer_style
from vrft_pl.types import Completions, InputError, Sample

T = TypeVar("T")

MOST_ROWS = 256
"""Training rows of a task that candidates are taken from."""
MOST_HELD_OUT = 20_000
"""Rows of a held-out part that it is judged on."""
_MOST_BLOCKS = 4
"""Blocks of a source that are opened for the training rows."""

Size = tuple[int, int]
"""Width and height in pixels."""
Numbers = dict[str, float]
"""Numbers of a metric by the name they are logged under."""


class Asked(NamedTuple):
    """A sample as constants need it."""

    sample: Sample
    task: str = ""
    """Of a mixture, with an underscore."""
    size: Size | None = None
    """Of its first picture; ``None`` to read the picture's header where it is needed."""

    @property
    def group(self) -> str:
        """The task and the kind of ground truth: what is answered by one constant."""
        return self.task + type(self.sample.solution).__name__


class Placed(NamedTuple):
    """A sample whose pictures are shut, and how coordinates of a constant are read in it."""

    sample: Sample
    frame: AnswerFrame | None
    group: str


class Main(NamedTuple):
    """The number of a metric that says which of two answers is better."""

    name: str
    more_is_better: bool


@dataclass(frozen=True)
class Constants:
    """What constant answers earn."""

    scores: dict[str, Numbers] = field(default_factory=dict)
    """By part, and by tag of a part (``<part>/tag/<tag>``)."""
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    """By metric, the answer to each kind of ground truth; boxes are in thousandths of the picture."""
    main: dict[str, Main] = field(default_factory=dict)
    """By metric, the number that its answers were chosen by."""
    left_out: tuple[str, ...] = ()
    """What has no constant, and why."""

    def flat(self, split: Split) -> Numbers:
        """The scores as those of a policy are logged, ``<split>/<part>/<Name>``."""
        return {f"{split}/{part}/{name}": v for part, values in self.scores.items() for name, v in values.items()}

    def above(self, split: Split, scores: Mapping[str, float]) -> Numbers:
        """By how much a constant is better than a policy, where it is, of the main number of each metric and part."""
        flat = self.flat(split)
        names = [(f"{split}/{part}/{number}", more) for part in self.scores for number, more in self.main.values()]
        known = [(name, more) for name, more in names if name in flat and name in scores]
        gaps = {name: flat[name] - scores[name] if more else scores[name] - flat[name] for name, more in known}
        return {name: gap for name, gap in gaps.items() if gap > 0}


def constant_scores(
    task: SampleData, metrics: Sequence[Judge], split: Split, rows: Mapping[str, int] | None = None
) -> Constants:
    """Judge the best constant answers of the training rows on every part of a split.

    No picture is decoded, and no more than `MOST_ROWS` training rows of a task are read.

    Args:
        task: The data.
        metrics: What judges. Those that heed no answer, such as `Format`, are left out.
        split: What is judged.
        rows: Rows of a part that count, from its first on. Defaults to all.
    """
    return judge_constants(metrics, training_rows(task), held_out_rows(task, split, rows or {}))


def judge_constants(
    metrics: Sequence[Judge], training: Sequence[Asked], held_out: Mapping[str, Sequence[Asked]]
) -> Constants:
    """Choose a constant for each metric, task and kind of ground truth by training rows, and judge it on others.

    Candidates are those that the kind names (`Solution.constants`).

    Args:
        metrics: What chooses and judges.
        training: Rows to choose by.
        held_out: Rows to judge, by part.
    """
    if not training:
        return Constants(left_out=("there are no training rows to take a constant answer from",))
    groups: dict[str, list[Asked]] = defaultdict(list)
    for row in training:
        groups[row.group].append(row)
    with_place = {group for group, asked in groups.items() if any(needs_place(row.sample) for row in asked)}
    kinds = {group: Kind.of([placed(row, with_place) for row in asked]) for group, asked in groups.items()}
    parts = with_tags({part: [placed(row, with_place) for row in asked] for part, asked in held_out.items()})
    return merged([judged_by(copy.deepcopy(m).cpu(), kinds, parts) for m in metrics if heeds_answers(m)])


class Kind(NamedTuple):
    """Training rows that are answered by one constant."""

    rows: list[Placed]
    candidates: list[str]
    """Answers to choose from."""

    @classmethod
    def of(cls, rows: list[Placed]) -> Kind:
        """Ask the kind of ground truth for candidates."""
        solutions = [row.sample.solution for row in rows]
        return cls(rows, list(dict.fromkeys(type(solutions[0]).constants(solutions, [row.frame for row in rows]))))


def judged_by(metric: Judge, kinds: Mapping[str, Kind], parts: Mapping[str, list[Placed]]) -> Constants:
    """What one metric says of the constants that it chooses."""
    scores: dict[str, Numbers] = {}
    main: dict[str, Main] = {}
    left_out: list[str] = []
    try:
        chosen = {group: best(metric, kind.candidates, of_metric(metric, kind.rows)) for group, kind in kinds.items()}
        answers = {group: answer for group, answer in chosen.items() if answer is not None}
        for part, rows in parts.items():
            judged = of_metric(metric, rows)
            if unknown := sorted({row.group for row in judged} - answers.keys()):
                left_out.append(f"{metric.name} of {part}: no training row has a {unknown[0]}")
            elif judged:
                scores[part] = judge(metric, judged, [answers[row.group] for row in judged])
                main[metric.name] = main_number(metric, scores[part])
    except InputError as error:  # as where a metric wants to see the picture
        return Constants(left_out=(f"{metric.name}: {error}",))
    return Constants(scores, {metric.name: answers} if answers else {}, main, tuple(left_out))


def best(metric: Judge, candidates: Sequence[str], rows: list[Placed]) -> str | None:
    """The candidate that earns most on training rows, the first of several; ``None`` where none is judged."""
    if not rows or not candidates:
        return None

    def worth(text: str) -> float:
        numbers = judge(metric, rows, [text] * len(rows))
        name, more_is_better = main_number(metric, numbers)
        value = numbers.get(name, -math.inf if more_is_better else math.inf)
        return value if more_is_better else -value

    return max(candidates, key=worth)


def judge(metric: Judge, rows: Sequence[Placed], answers: Sequence[str]) -> Numbers:
    """What a metric says of answers, but for how many could not be read."""
    turns = [whole_turn(row.sample, answer) for row, answer in zip(rows, answers, strict=True)]
    with torch.no_grad():
        metric.update(Completions.written(turns, [row.frame for row in rows]), [row.sample for row in rows])
        numbers = {name: float(value) for name, value in metric.values().items()}
    metric.reset()
    return {name: value for name, value in numbers.items() if not name.startswith("parse_failures/")}


def whole_turn(sample: Sample, answer: str) -> str:
    """The turn that holds an answer, in the style that the sample asks for."""
    style = answer_style(sample.style)
    return style.target(answer, style.placeholder)


def main_number(metric: Judge, numbers: Numbers) -> Main:
    """The number that goes by the metric's name, or the first; more is better unless the metric says otherwise."""
    name = metric.name if metric.name in numbers else next(iter(numbers), metric.name)
    return Main(name, metric.higher_is_better is not False)


def heeds_answers(metric: Judge) -> bool:
    """Whether a metric looks at the answer, and not at the form or the length of the turn alone, at no cost."""
    return all(reward.reads_answers and not reward.costs for reward in rewards_of([metric]).values())


def of_metric(metric: Judge, rows: Iterable[Placed]) -> list[Placed]:
    """The rows that a metric judges."""
    return [row for row in rows if metric.judges(row.sample)]


def with_tags(parts: Mapping[str, list[Placed]]) -> dict[str, list[Placed]]:
    """The parts, and beside them the rows of each tag, under the names that a policy's scores have."""
    named = dict(parts)
    for part, rows in parts.items():
        for row in rows:
            for tag in dict.fromkeys(row.sample.tags):
                named.setdefault(f"{part}/tag/{tag}", []).append(row)
    return named


def merged(of_metrics: Sequence[Constants]) -> Constants:
    """Put together what each metric says."""
    scores: dict[str, Numbers] = defaultdict(dict)
    for one in of_metrics:
        for part, numbers in one.scores.items():
            scores[part] |= numbers
    answers = {name: answer for one in of_metrics for name, answer in one.answers.items()}
    main = {name: number for one in of_metrics for name, number in one.main.items()}
    return Constants(dict(scores), answers, main, tuple(reason for one in of_metrics for reason in one.left_out))


class Shut:
    """Stands for a picture that nobody may look at."""

    def open(self) -> Image.Image:
        """Refuse."""
        raise InputError("it looks at pictures, and a constant answer is judged without")


def needs_place(sample: Sample) -> bool:
    """Whether its ground truth has coordinates."""
    try:
        sample.solution.text(None)
    except ValueError:
        return True
    return False


def placed(row: Asked, with_place: set[str]) -> Placed:
    """Shut the pictures of a sample, and measure the first in thousandths where answers have coordinates."""
    sample, frame = row.sample, None
    if sample.images and row.group in with_place:
        width, height = row.size or image_size(sample.images[0])
        frame = AnswerFrame(width, height, width / 1000, height / 1000)
    return Placed(replace(sample, images=(Shut(),) * len(sample.images)), frame, row.group)


def held_out_rows(task: SampleData, split: Split, rows: Mapping[str, int]) -> dict[str, list[Asked]]:
    """The samples of every part of a split."""
    tasks = {part.title: part.prefix for part in task.every_part()}
    held_out = {}
    for name, part in task.datasets(split).items():
        count = len(part)  # type: ignore[arg-type]  # sized
        wanted = draw(range(min(count, rows.get(name, count))), MOST_HELD_OUT)
        held_out[name] = [Asked(part[i], tasks.get(name, "")) for i in wanted]
    return held_out


def training_rows(task: SampleData) -> list[Asked]:
    """Some training rows of every task of a mixture; rows that can't be read are left out."""
    parts = [part for part in task.every_part() if part.split == "train"]
    if parts:
        return [Asked(sample, part.prefix) for part in parts for sample in readable(part, drawn_rows(part))]
    own = task.datasets("train").values()
    return [Asked(part[i]) for part in own for i in draw(range(len(part)), MOST_ROWS)]  # type: ignore[arg-type]  # sized


def drawn_rows(part: Part) -> list[int]:
    """The rows to read, of few blocks where the source stores rows together."""
    blocks = part.source.blocks
    if blocks is None:
        return draw(range(len(part.source)), MOST_ROWS)
    return draw([row for block in draw(blocks, _MOST_BLOCKS) for row in block], MOST_ROWS)


def draw(items: Sequence[T], most: int) -> list[T]:
    """Up to ``most`` of some items, the same at every call, in their order."""
    count = len(items)
    chosen = range(count) if count <= most else sorted(random.Random(0).sample(range(count), most))
    return [items[i] for i in chosen]


def readable(part: Part, rows: Iterable[int]) -> Iterator[Sample]:
    """The samples of those rows that are good."""
    for row in rows:
        try:
            yield part.read(part.source[row])
        except InputError:
            continue

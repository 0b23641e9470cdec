from dataclasses import dataclass, replace

import numpy as np
import pytest
from builders import make_sample

from vrft_pl.answers import (
    Box,
    Call,
    Choice,
    Expression,
    Instance,
    Instances,
    Label,
    Number,
    Solution,
    Transformation,
)
from vrft_pl.data import Counting, CountingScenes, Grounding, GroundingScenes, Mixture, Record, SampleData, Source
from vrft_pl.metrics import Accuracy, Collected, GroundingIoU, constant_scores, judge_constants
from vrft_pl.metrics.constant import MOST_ROWS, Asked
from vrft_pl.rewards import (
    BoxIoU,
    ChoiceMatch,
    DetectionIoU,
    Format,
    GradedNumber,
    LabelMatch,
    LengthPenalty,
    MathMatch,
    NumberMatch,
    Reward,
    TransformationMatch,
)
from vrft_pl.rewards.overlap import iou_matrix
from vrft_pl.types import InputError

SIZE = (200, 100)


class Sealed:
    """A picture that nobody may open."""

    def open(self):
        raise AssertionError("a picture was opened")


def asked(*solutions, style="answer", tags=()):
    """A row of each solution, with a picture of 200 x 100 pixels that can't be opened."""
    samples = [
        replace(make_sample(s, style, tags=tags), id=f"row {i}", images=(Sealed(),)) for i, s in enumerate(solutions)
    ]
    return [Asked(sample, size=SIZE) for sample in samples]


def answer_of(metric, training, held_out=()):
    constants = judge_constants([metric], training, {"id": list(held_out) or training})
    ((answer,),) = [by_kind.values() for by_kind in constants.answers.values()]
    return answer, constants.scores["id"][constants.main[metric.name].name]


def numbers(*values):
    return [Number(float(value)) for value in values]


@pytest.mark.parametrize(
    ("metric", "solutions", "answer", "score"),
    [
        pytest.param(NumberMatch(), numbers(1, 2, 2, 9), "2", 0.5, id="the-commonest-number"),
        pytest.param(ChoiceMatch(), [Choice("A"), Choice("C"), Choice("C")], "C", 2 / 3, id="the-commonest-letter"),
        pytest.param(LabelMatch(), [Label("cat"), Label("dog"), Label("dog")], "dog", 2 / 3, id="the-commonest-label"),
        pytest.param(MathMatch(), [Expression("1/2"), Expression("x"), Expression("1/2")], "1/2", 2 / 3, id="a-text"),
        pytest.param(Accuracy(NumberMatch()), numbers(4, 4, 1), "4", 2 / 3, id="by-a-metric-of-all-answers"),
        pytest.param(
            TransformationMatch(),
            [Transformation((Call("turn", a, "red"), Call("turn", b, "red"))) for a, b in ("12", "13", "14")],
            "turn(1, red), turn(2, red)",
            (1 + 0.75 + 0.75) / 3,
            id="commonest-calls-together",
        ),
    ],
)
def test_the_best_constant_is_what_the_metric_says(metric, solutions, answer, score):
    assert answer_of(metric, asked(*solutions)) == (answer, pytest.approx(score))


def test_a_median_earns_more_than_the_commonest_number_where_near_misses_count():
    rare, common = range(100, 114), [1, 2, 3, 4, 5, 6] * 2
    answer, score = answer_of(GradedNumber(), asked(*numbers(*common, *rare)))
    assert answer == "100"
    assert score > 6 / 26


@pytest.mark.parametrize("seed", range(5))
def test_the_commonest_of_many_rows_is_found_where_others_are_nearly_as_common(seed):
    values = [value for value, count in {2: 40, 3: 43, 4: 40, 5: 50, 6: 42, 7: 41}.items() for _ in range(count)]
    rows = asked(*numbers(*np.random.default_rng(seed).permutation(values).tolist()))
    assert answer_of(NumberMatch(), rows) == ("5", pytest.approx(50 / 256))


def test_a_constant_box_overlaps_the_true_ones_as_much_as_any_box_does():
    rng = np.random.default_rng(0)
    middle, side = rng.normal(500, 80, (300, 2)), rng.normal(500, 120, (300, 2)).clip(80, 900)
    boxes = np.hstack([middle - side / 2, middle + side / 2]).clip(0, 1000)
    width, height = SIZE
    rows = asked(
        *(
            Box((x1 * width / 1000, y1 * height / 1000, x2 * width / 1000, y2 * height / 1000))
            for x1, y1, x2, y2 in boxes
        )
    )
    answer, score = answer_of(BoxIoU(), rows)
    edges = np.arange(0, 1001, 100.0)
    grid = np.array([[a, b, c, d] for a in edges for b in edges for c in edges[edges > a] for d in edges[edges > b]])
    assert score >= iou_matrix(grid, boxes).mean(axis=1).max() - 0.01
    assert all(0 <= float(edge) <= 1000 for edge in answer.strip("[]").split(","))


def test_a_constant_box_is_in_thousandths_of_pictures_of_any_size():
    small = Asked(replace(make_sample(Box((10, 10, 30, 20)), "answer"), images=(Sealed(),)), size=(40, 40))
    large = Asked(replace(small.sample, solution=Box((100, 100, 300, 200))), size=(400, 400))
    assert answer_of(BoxIoU(), [small], [large]) == ("[250, 250, 750, 500]", pytest.approx(1.0))


@pytest.mark.parametrize(
    ("boxes", "answer"),
    [
        pytest.param([[], [], [(0, 0, 50, 50)]], "No Objects", id="mostly-nothing-to-find"),
        pytest.param(
            [[(20, 10, 60, 40)]] * 3 + [[]], "[{'Position': [100, 100, 300, 400], 'Confidence': 1.0}]", id="one-box"
        ),
        pytest.param(
            [[(0, 0, 20, 10), (100, 50, 120, 60)]] * 3,
            "[{'Position': [0, 0, 100, 100], 'Confidence': 1.0}, "
            "{'Position': [500, 500, 600, 600], 'Confidence': 1.0}]",
            id="a-list",
        ),
    ],
)
def test_a_constant_of_detection_is_a_list_or_nothing(boxes, answer):
    rows = [
        Instances(tuple(Instance(box, "cell") for box in own), ("cell",), f"{i}.png") for i, own in enumerate(boxes)
    ]
    assert answer_of(DetectionIoU(), asked(*rows))[0] == answer


@dataclass(frozen=True)
class Place(Solution):
    """A kind of somebody's own: a point."""

    x: float
    y: float

    def form(self, coordinates):
        return "a point"

    def text(self, frame):
        if frame is None:
            raise ValueError("expected a picture for a point, but there is none.")
        x, y, *_ = frame.to_answer((self.x, self.y, self.x, self.y))
        return f"{x:.0f} {y:.0f}"


class PlaceMatch(Reward):
    """Whether it is the very point."""

    solution_type = Place

    def grade_one(self, text, sample, frame):
        words = text.split()
        return float(frame.to_pixels((*map(float, words), 0, 0))[:2] == (sample.solution.x, sample.solution.y))


def test_a_kind_of_ones_own_has_its_commonest_answers():
    assert answer_of(PlaceMatch(), asked(Place(2, 1), Place(20, 10), Place(20, 10))) == (
        "100 100",
        pytest.approx(2 / 3),
    )


@dataclass(frozen=True)
class Code(Place):
    """One that names its candidates itself."""

    def text(self, frame):
        return f"{self.x:.0f}"

    @classmethod
    def constants(cls, truths, frames):
        return ["7", "8"]


class Distance(Collected):
    """Less of it is better."""

    solution_type = Place
    higher_is_better = False

    def values_of(self, completions, samples):
        return [abs(float(text) - sample.solution.x) for text, sample in zip(completions.texts, samples, strict=True)]

    def summarize(self, rows):
        return {f"{self.name}/mean": sum(row.value for row in rows) / len(rows), f"{self.name}/most": 99.0}


def test_a_kind_names_candidates_and_a_metric_of_errors_takes_the_least():
    constants = judge_constants([Distance()], asked(Code(9, 0), Code(8, 0)), {"id": asked(Code(10, 0))})
    assert constants.answers == {"Distance": {"Code": "8"}}
    assert constants.scores == {"id": {"Distance/mean": 2.0, "Distance/most": 99.0}}
    assert constants.above("val", {"val/id/Distance/mean": 2.5, "val/id/Distance/most": 100.0}) == {
        "val/id/Distance/mean": 0.5
    }
    assert constants.above("val", {"val/id/Distance/mean": 1.5}) == {}


@pytest.mark.parametrize("style", ["answer", "think", "caption"])
def test_a_constant_is_written_in_the_style_that_is_asked_for(style):
    assert answer_of(NumberMatch(), asked(*numbers(3, 3, 1), style=style)) == ("3", pytest.approx(2 / 3))


def test_what_heeds_no_answer_has_no_constant():
    constants = judge_constants(
        [Format(), LengthPenalty(NumberMatch())], asked(*numbers(1)), {"id": asked(*numbers(1))}
    )
    assert (constants.scores, constants.answers, constants.left_out) == ({}, {}, ())


def test_rows_of_a_tag_are_judged_apart_as_those_of_a_policy_are():
    held_out = [*asked(*numbers(2, 3)), *asked(*numbers(2), tags=("hard",))]
    constants = judge_constants([NumberMatch()], asked(*numbers(2)), {"id": held_out})
    assert constants.flat("test") == {
        "test/id/NumberMatch": pytest.approx(2 / 3),
        "test/id/tag/hard/NumberMatch": 1.0,
    }


def test_each_kind_of_ground_truth_has_a_constant_of_its_own():
    metric = Accuracy(NumberMatch())
    metric.reward.solution_type = (Number, Choice)
    metric.reward.grade_one = lambda text, sample, frame: float(text == sample.solution.text(None))
    training = asked(*numbers(4, 4, 1), Choice("B"), Choice("B"), Choice("A"))
    constants = judge_constants([metric], training, {"id": asked(*numbers(4, 2), Choice("B"), Choice("B"))})
    assert constants.answers["Accuracy"] == {"Number": "4", "Choice": "B"}
    assert constants.scores["id"]["Accuracy"] == 0.75


def test_a_part_of_another_kind_than_the_training_rows_has_no_constant_and_says_so():
    constants = judge_constants([NumberMatch()], asked(Choice("A")), {"id": asked(*numbers(1))})
    assert constants.scores == {}
    assert constants.left_out == ("NumberMatch of id: no training row has a Number",)


def test_without_training_rows_there_is_no_constant():
    task = Counting(val={"id": CountingScenes(size=4)})
    task.setup("validate")
    constants = constant_scores(task, [NumberMatch()], "val")
    assert constants.scores == {}
    assert constants.left_out == ("there are no training rows to take a constant answer from",)


class Looks(NumberMatch):
    """A metric that opens pictures, as one with a segmenter does."""

    def grade_one(self, text, sample, frame):
        sample.images[0].open()
        return super().grade_one(text, sample, frame)


def test_a_metric_that_looks_at_pictures_is_left_out_and_the_others_are_not():
    constants = judge_constants([Looks(), NumberMatch()], asked(*numbers(1)), {"id": asked(*numbers(1))})
    assert constants.scores == {"id": {"NumberMatch": 1.0}}
    assert constants.left_out == ("Looks: it looks at pictures, and a constant answer is judged without",)


class Counted(Source):
    """Many rows, of which it is counted how many are read; every third is bad."""

    def __init__(self, rows, blocks=None):
        self.size, self.read, self.own = rows, [], blocks

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        self.read.append(index)
        if index % 3 == 0:
            raise InputError(f"row {index} is damaged")
        return Record(f"row {index}", (Sealed(),), "How many?", index % 2)

    @property
    def blocks(self):
        return self.own

    @property
    def streamed(self):
        return True


def test_few_training_rows_are_read_and_the_bad_ones_left_out():
    source = Counted(100_000)
    task = Counting(source, {"id": CountingScenes(size=4)}, style="answer")
    assert constant_scores(task, [NumberMatch()], "val").answers["NumberMatch"]["Number"] in ("0", "1")
    assert len(source.read) == MOST_ROWS
    assert max(source.read) > 90_000


def test_few_blocks_of_a_source_are_opened():
    blocks = [range(i, i + 1000) for i in range(0, 100_000, 1000)]
    source = Counted(100_000, blocks)
    constant_scores(Counting(source, {"id": CountingScenes(size=4)}), [NumberMatch()], "val")
    assert len({index // 1000 for index in source.read}) == 4


def test_the_rows_that_count_are_the_first_of_a_part():
    task = Counting(CountingScenes(size=64), {"id": CountingScenes(size=64)}, style="answer")
    few, all_rows = (constant_scores(task, [NumberMatch()], "val", rows) for rows in ({"id": 5}, None))
    [answer] = few.answers["NumberMatch"].values()
    truths = [sample.solution.text(None) == answer for sample in task.datasets("val")["id"]]
    assert few.scores["id"]["NumberMatch"] == pytest.approx(sum(truths[:5]) / 5)
    assert all_rows.scores["id"]["NumberMatch"] == pytest.approx(sum(truths) / 64)


def test_each_task_of_a_mixture_has_its_own_constants():
    tasks = {
        "few": Counting(Counted(30), {"id": CountingScenes(size=8)}, style="answer"),
        "many": Counting(CountingScenes("crowded", size=64), {"id": CountingScenes("crowded", size=8)}, style="answer"),
        "where": Grounding(train=GroundingScenes(size=8), val={"id": GroundingScenes(size=4)}, style="answer"),
    }
    constants = constant_scores(Mixture(tasks), [NumberMatch(), BoxIoU(), GroundingIoU()], "val")
    assert set(constants.answers["NumberMatch"]) == {"few_Number", "many_Number"}
    assert constants.answers["NumberMatch"]["few_Number"] in ("0", "1")
    assert int(constants.answers["NumberMatch"]["many_Number"]) >= 5
    assert set(constants.scores) == {"few_id", "many_id", "where_id"}
    assert set(constants.scores["where_id"]) == {"BoxIoU", "GroundingIoU", "GroundingIoU/accuracy_50"}


class Own(SampleData):
    """Data of somebody's own, without parts."""

    def datasets(self, split):
        return {"id": [row.sample for row in asked(*numbers(5, 5, 6))]}


def test_data_of_ones_own_have_constants_too():
    assert constant_scores(Own(), [NumberMatch()], "test").flat("test") == {"test/id/NumberMatch": pytest.approx(2 / 3)}


def test_judging_constants_leaves_the_metrics_as_they_were():
    metric = NumberMatch()
    judge_constants([metric], asked(*numbers(1)), {"id": asked(*numbers(1))})
    assert int(metric.count) == 0

"""What holds for every reward, whatever it judges."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import make_completions, make_sample
from hypothesis import given, settings
from hypothesis import strategies as st

from vrft_pl.answers import AnswerFrame, Box, Instance, Instances, Number
from vrft_pl.rewards import (
    BoxGIoU,
    BoxIoU,
    DetectionAP,
    DetectionIoU,
    GradedNumber,
    LengthPenalty,
    MathMatch,
    Unread,
)
from vrft_pl.rewards.overlap import pair_giou, pair_iou

ROOT = Path(__file__).parents[2]
FAMILIES = (
    "counting",
    "choice",
    "mathematics",
    "classification",
    "grounding",
    "detection",
    "transformation",
    "pointing",
    "any",
)
FRAME = AnswerFrame(200, 100, 1.0, 1.0)


@pytest.fixture(scope="module", autouse=True)
def _tools_on_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield


def judges(family):
    """Every reward of a family; mathematics without a limit that a busy machine may reach."""
    from graders.questions import rewards

    chosen = rewards()[family]
    for reward in chosen:
        if isinstance(reward, MathMatch):
            reward.time_limit = 1.0
    return chosen


def asked(family, count=4, style="think"):
    from graders.questions import questions

    return questions("counting" if family == "any" else family, count, style=style)


def honest(sample):
    from graders.questions import honest

    return honest(sample)


def drawn(count):
    from graders.hostile import completions

    return list(completions(count, seed=5))


def table():
    """Scores and parse failures of a fixed set of completions, by reward."""
    from graders.questions import complete

    scores = {}
    for family in FAMILIES:
        samples = asked(family) * 50
        batch = complete([honest(sample) for sample in samples[:4]] + drawn(196))
        for reward in judges(family):
            scores[reward.name] = [part.tolist() for part in reward.grade(batch, samples)]
    return scores


def seeded():
    """What must not follow the hash seed."""
    from rewards.test_transformation import draw_credits

    return table(), draw_credits()


def pieces():
    from graders.hostile import PIECES

    return st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


TEXTS = st.one_of(st.text(max_size=60), st.deferred(pieces))
TEXTS = st.one_of(TEXTS, TEXTS.map("<think>a</think><answer>{}</answer>".format))


def check_bounds(family, texts):
    from graders.questions import complete

    for style in ("answer", "think", "caption"):
        sample = asked(family, 1, style)[0]
        for reward in judges(family):
            scores, failures = reward.grade(complete(texts), [sample] * len(texts))
            low, high = reward.bounds
            for text, score, failure in zip(texts, scores.tolist(), failures.tolist(), strict=True):
                assert math.isfinite(score), (reward.name, text)
                assert low <= score <= high, (reward.name, text)
                assert failure == 0 or (score == 0 and reward.reads_answers and failure <= len(Unread)), reward.name


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_any_text_scores_in_bounds(family, texts):
    check_bounds(family, texts)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=25, deadline=None)
@given(chance=st.randoms(use_true_random=False))
def test_a_damaged_right_answer_scores_in_bounds(family, chance):
    from graders.hostile import damaged

    check_bounds(family, [damaged(honest(sample), chance) for sample in asked(family)])


@pytest.mark.slow
def test_scores_depend_on_nothing_but_the_completion():
    """The same twice, and in a process with another hash seed."""
    code = "import json; from rewards.test_properties import seeded; print(json.dumps(seeded()))"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tools")])
    environment = os.environ | {"PYTHONHASHSEED": "1234", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    first, credits = seeded()
    assert first == table()
    assert [first, credits] == json.loads(done.stdout)
    earning = {name for name, (scores, _) in first.items() if any(scores)}
    assert earning >= set(first) - {"LengthPenalty"}, "those alone in their group earn nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_scores_as_its_completions_do_one_by_one(family):
    from graders.questions import complete

    texts = drawn(60)
    samples = [sample for sample in asked(family) for _ in range(15)]
    for reward in judges(family):
        if isinstance(reward, LengthPenalty):
            continue
        batch = reward.grade(complete(texts), samples)
        single = [reward.grade(complete([text]), [sample]) for text, sample in zip(texts, samples, strict=True)]
        assert batch.scores.tolist() == [grade.scores.item() for grade in single], reward.name
        assert batch.parse_failures.tolist() == [grade.parse_failures.item() for grade in single], reward.name


@pytest.mark.parametrize("family", FAMILIES[:-1])
def test_a_sample_of_another_kind_scores_nothing_and_fails_nothing(family):
    mine = asked(family, 1)[0]
    for other in (name for name in FAMILIES[:-1] if name != family):
        sample = asked(other, 1)[0]
        for reward in judges(family):
            if not reward.judges(sample):
                pair = reward.grade(make_completions([honest(mine), honest(mine)]), [sample, mine])
                assert (pair.scores[0], pair.parse_failures[0]) == (0, -1)
                assert pair.scores[1] == reward.grade(make_completions([honest(mine)]), [mine]).scores[0]


@settings(max_examples=25, deadline=None)
@given(chance=st.randoms(use_true_random=False), seed=st.integers(0, 50))
@pytest.mark.parametrize("family", ["detection", "transformation"])
def test_the_order_of_writing_changes_nothing(family, chance, seed):
    from graders.questions import FRAME as PERMILLE
    from graders.questions import questions

    *_, sample, other = questions(family, 20, seed, "answer")
    mark = "}" if family == "detection" else ")"
    text = f"{honest(sample)}, {honest(other)}".replace("[{", "{").replace("}]", "}").replace("No Objects", "")
    rows = [row.strip(" ,") + mark for row in text.split(mark)[:-1]]
    for i, row in enumerate(rows):
        rows[i] = row.replace("1.0,", f"{(i * 37) % 10 / 10},")
    shuffled = chance.sample(rows, len(rows))
    for reward in judges(family):
        if isinstance(reward, DetectionAP):
            continue  # it breaks ties of confidence by the order of writing, as pycocotools does
        scores = []
        for order in (rows, shuffled):
            answer = f"[{', '.join(order)}]" if family == "detection" else ", ".join(order)
            scores.append(reward.grade_one(answer, sample, PERMILLE))
        assert not isinstance(scores[0], Unread)
        assert scores[0] == pytest.approx(scores[1], abs=1e-12)


EDGES = st.tuples(st.integers(0, 150), st.integers(0, 50), st.integers(1, 50), st.integers(1, 50))
BOXES = EDGES.map(lambda v: (float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3])))


@given(a=BOXES, b=BOXES)
def test_overlap_is_symmetric(a, b):
    assert pair_iou(a, b) == pair_iou(b, a)
    assert pair_giou(a, b) == pair_giou(b, a)
    for reward in (BoxIoU(), BoxGIoU()):
        one, other = (reward.grade_one(str(list(x)), make_sample(Box(y), "answer"), FRAME) for x, y in ((a, b), (b, a)))
        assert one == other


@pytest.mark.parametrize("reward", [BoxIoU(), BoxGIoU(), DetectionIoU(threshold=0)], ids=lambda r: r.name)
@settings(max_examples=200)
@given(truth=BOXES, box=BOXES, steps=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_a_better_box_never_scores_less(reward, truth, box, steps):
    """Better: shifted towards the truth, or with all edges nearer to it on the way out or in."""
    solution = Instances((Instance(truth, "dog"),), ("dog",), "a") if isinstance(reward, DetectionIoU) else Box(truth)
    sample = make_sample(solution, "answer")
    width, height = truth[2] - truth[0], truth[3] - truth[1]
    starts = {
        "shifted": (box[0], box[1], box[0] + width, box[1] + height),
        "around": tuple(pick(a, b) for pick, a, b in zip((min, min, max, max), truth, box, strict=True)),
        "within": tuple(t + (1 - 2 * (i > 1)) * (width, height)[i % 2] * 0.45 for i, t in enumerate(truth)),
    }
    for kind, start in starts.items():
        scores = []
        for step in steps:
            answer = [s + step * (t - s) for s, t in zip(start, truth, strict=True)]
            scores.append(reward.grade_one(f"[{', '.join(map(repr, answer))}]", sample, AnswerFrame(400, 400, 1, 1)))
        assert scores[0] <= scores[1] + 1e-9, (kind, start)


@given(truth=st.floats(-1e6, 1e6), errors=st.lists(st.floats(0, 2), min_size=2, max_size=2).map(sorted))
def test_a_number_further_away_never_scores_more(truth, errors):
    for sign in (1, -1):
        texts = [repr(truth + sign * error * abs(truth)) for error in errors]
        near, far = (GradedNumber().grade_one(text, make_sample(Number(truth), "answer"), None) for text in texts)
        assert near >= far - 1e-9

from __future__ import annotations

import random
from itertools import permutations

import pytest
from builders import make_completions, make_sample
from hypothesis import given
from hypothesis import strategies as st
from timing import seconds

from vrft_pl.answers import Call, Transformation
from vrft_pl.rewards import Unread
from vrft_pl.rewards.transformation import TransformationExact, TransformationMatch, transformation_credit

RED, SMALL = Call("change_color", "2", "red"), Call("change_size", "1", "small")
TRUTH = make_sample(Transformation((RED, SMALL)), "answer")
CALLS = st.lists(st.builds(Call, *[st.sampled_from(names) for names in ("fg", "12", "xyz")]), max_size=5)
FORMS = ({}, {"partial": False}, {"penalty": True})


def brute_force(answered, true, partial=True, penalty=False):
    """The credit by trying every pairing."""
    longer = max(len(answered), len(true))
    totals = [(0.0, 0.0)]
    padded = true + [None] * (longer - len(true))
    for order in permutations(padded):
        plain = penalised = 0.0
        for a, b in zip(answered, order, strict=False):
            if b is None or a.function != b.function:
                continue
            kind = (a.object == b.object, a.value == b.value)
            plain += {(True, True): 1, (True, False): 0.5, (False, True): 0.5, (False, False): 0.25}[kind]
            penalised += {(True, True): 1, (True, False): -0.25, (False, True): -0.25, (False, False): -0.5}[kind]
        full = sum(a == b for a, b in zip(answered, order, strict=False))
        totals.append((plain, penalised) if partial else (full, full))
    best = max(totals)
    return best[1 if penalty else 0] / longer if longer else 1.0


@pytest.mark.parametrize(
    ("text", "plain", "full", "penalised"),
    [
        pytest.param("change_color(2, red), change_size(1, small)", 1.0, 1.0, 1.0, id="right"),
        pytest.param("change_size(1, small), change_color(2, red)", 1.0, 1.0, 1.0, id="any-order"),
        pytest.param("change_color('2', 'red')\nchange_size(\"1\", \"small\")", 1.0, 1.0, 1.0, id="quotes"),
        pytest.param("['Change_Color( 2 , RED )', 'CHANGE_SIZE(1.0, Small)']", 1.0, 1.0, 1.0, id="case-blanks-number"),
        pytest.param("change_color(2, red), change_size(1, large)", 0.75, 0.5, 0.375, id="wrong-value"),
        pytest.param("change_color(2, red), change_size(0, small)", 0.75, 0.5, 0.375, id="wrong-object"),
        pytest.param("change_color(2, red), change_size(0, large)", 0.625, 0.5, 0.25, id="function-alone"),
        pytest.param("change_color(2, red), change_shape(1, small)", 0.5, 0.5, 0.5, id="wrong-function"),
        pytest.param("change_color(2, red)", 0.5, 0.5, 0.5, id="one-missing"),
        pytest.param(
            "change_color(2, red), change_size(1, small), change_size(0, large)", 2 / 3, 2 / 3, 2 / 3, id="more"
        ),
        pytest.param("change_color(2, red), " * 4, 0.25, 0.25, 0.25, id="one-call-four-times"),
        pytest.param("change_color(1, blue), change_size(2, large)", 0.25, 0.0, -0.5, id="only-functions"),
        pytest.param("change_color(2, blue), change_size(0, small)", 0.5, 0.0, -0.25, id="only-partial"),
        pytest.param("change_shape(2, cube)", 0.0, 0.0, 0.0, id="nothing"),
    ],
)
def test_credit_by_hand(text, plain, full, penalised):
    scores = [TransformationMatch(**form).grade_one(text, TRUTH, None) for form in FORMS]
    assert scores == pytest.approx([plain, full, penalised])
    assert TransformationExact().grade_one(text, TRUTH, None) == (plain == 1)


@given(CALLS, CALLS)
def test_credit_is_that_of_the_best_of_all_pairings(answered, true):
    for form in FORMS:
        assert transformation_credit(answered, true, **form) == pytest.approx(brute_force(answered, true, **form))


@given(CALLS, CALLS, st.randoms(use_true_random=False))
def test_credit_does_not_depend_on_any_order(answered, true, shuffler):
    expected = [transformation_credit(answered, true, **form) for form in FORMS]
    shuffler.shuffle(answered)
    shuffler.shuffle(true)
    assert [transformation_credit(answered, true, **form) for form in FORMS] == expected


@given(CALLS, CALLS)
def test_credit_is_in_bounds_and_full_only_for_the_truth(answered, true):
    for form in FORMS:
        low, high = TransformationMatch(**form).bounds
        credit = transformation_credit(answered, true, **form)
        assert low <= credit <= high
        assert (credit == 1) == (sorted(answered, key=str) == sorted(true, key=str))


def test_a_greedy_pairing_is_not_enough():
    """Reason-RFT pairs the first call it meets: 0.75 + 0.25 here, or 0.375 with another hash seed."""
    answered = [Call("f", "1", "x"), Call("f", "1", "y")]
    true = [Call("f", "1", "z"), Call("f", "2", "x")]
    for calls in (answered, answered[::-1]):
        assert transformation_credit(calls, true) == 0.5


def test_partial_matches_are_paired_though_they_cost():
    """Leaving them out would cost less."""
    answered = [Call("f", "1", "x"), Call("f", "2", "y")]
    assert transformation_credit(answered, [Call("f", "1", "y"), Call("f", "3", "x")], penalty=True) == -0.25
    answered, true = [Call("f", "1", "x"), Call("f", "2", "z")], [Call("f", "1", "x"), Call("f", "1", "y")]
    assert transformation_credit(answered, true) == 0.625
    assert transformation_credit(answered, true, penalty=True) == 0.25


def draw_credits():
    """Compared under another hash seed, with the scores of every reward."""
    draw = random.Random(0)

    def calls():
        return [Call(*[draw.choice(names) for names in ("fg", "12", "xyz")]) for _ in range(6)]

    return [transformation_credit(calls(), calls(), **form) for _ in range(50) for form in FORMS]


def test_truth_is_read_as_answers_are():
    truth = make_sample(Transformation((Call("Change_Color", "'2.0'", " Red "),)), "answer")
    for reward in (TransformationMatch(), TransformationExact()):
        assert reward.grade_one("change_color(2, red)", truth, None) == 1
        assert reward.grade_one("change_color(2.5, red)", truth, None) < 1


def test_exact_counts_each_call_as_often_as_it_is_true():
    truth = make_sample(Transformation((RED, RED, SMALL)), "answer")
    twice = "change_color(2, red), change_size(1, small), change_color(2, red)"
    assert TransformationExact().grade_one(twice, truth, None) == 1
    for text in ("change_color(2, red), change_size(1, small)", twice + ", change_size(1, small)"):
        assert TransformationExact().grade_one(text, truth, None) == 0


@pytest.mark.parametrize("reward", [TransformationMatch(), TransformationMatch(penalty=True), TransformationExact()])
def test_an_answer_without_calls_is_a_parse_failure(reward):
    sample = make_sample(TRUTH.solution)
    right = "change_color(2, red), change_size(1, small)"
    assert reward.grade_one(f"<think>a</think><answer>{right}</answer>", sample, None) == 1
    for text in (f"<think>{right}</think>", f"<think>a</think><answer>{right}", right):
        assert reward.grade_one(text, sample, None) == Unread.NO_ANSWER
    assert isinstance(reward.grade_one("<think>a</think><answer>turn it red</answer>", sample, None), Unread)


def test_penalty_needs_partial_matches():
    with pytest.raises(ValueError, match="Expected `partial` to be true with `penalty`, but got false"):
        TransformationMatch(partial=False, penalty=True)


def test_a_thousand_calls_are_paired_at_once():
    draw = random.Random(0)
    answered = tuple(Call("change_color", str(i), draw.choice("abcdef")) for i in range(1000))  # more than are read
    true = tuple(Call("change_color", str(i), draw.choice("abcdef")) for i in range(8))
    assert seconds(transformation_credit, answered, true, True, True, enough=0.05) < 0.05
    assert seconds(transformation_credit, answered[:1] * 1000, true, enough=0.05) < 0.05


@pytest.mark.parametrize("reward", [TransformationMatch(), TransformationMatch(penalty=True), TransformationExact()])
def test_hostile_completions_are_only_data(reward):
    pieces = ["change_color", "(", ")", ",", "'", '"', "2", "red", "\x00", "\ud800", "٣", "=", "->", "\n", "9e999"]
    texts = ["".join(random.Random(i).choices(pieces, k=400)) for i in range(100)]
    texts += [piece * 50_000 for piece in pieces] + ["f(1, a)," * 12_000, "f(" * 50_000 + ")" * 50_000]
    for text in texts:
        assert seconds(reward.score, make_completions([text]), [TRUTH], enough=0.05) < 0.05, text[:80]
        score = reward.score(make_completions([text]), [TRUTH]).item()
        assert reward.bounds[0] <= score < 1, text[:80]


@pytest.mark.parametrize(("named", "expected"), [("2", 1.0), ("obj_1", 0.5)])
@pytest.mark.parametrize("written", ["obj2", "obj_2", "object 2", "Object_2", "2"])
def test_an_object_may_be_called_so_unless_one_is_named_so(written, named, expected):
    sample = make_sample(Transformation((Call("change_color", named, "red"),)), "answer")
    assert TransformationMatch().grade_one(f"change_color({written}, red)", sample, None) == expected

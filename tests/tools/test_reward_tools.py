"""The tools that try rewards: a short run of each, and that they find what is wrong."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest
from forking import forked

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(autouse=True)
def _tools_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


def test_a_short_fuzz_run_finds_no_fault():
    from fuzz_rewards import run_chunk

    tracer = sys.gettrace()
    sys.settrace(None)  # measuring coverage doubles the time
    try:
        found = run_chunk(1500, seed=7)
    finally:
        sys.settrace(tracer)
    assert found.faults == []
    assert found.completions == 1500
    assert found.gradings == len(found.unread) * 1500
    assert found.worst < 0.05
    unread = {name: count / found.completions for name, count in found.unread.items()}
    assert all(share < 1 for share in unread.values()), "some completions of every kind are read"


def test_the_fuzzer_finds_an_exception_a_wrong_range_and_a_slow_reward():
    import time

    from fuzz_rewards import Fuzzer

    from vrft_pl.rewards import Reward

    class Raises(Reward):
        bounds = (0.0, 1.0)

        def grade_one(self, text, sample, frame):
            return float(text) if text.isdigit() else 1 / len(text)

    class Wide(Reward):
        bounds = (0.0, 1.0)

        def grade_one(self, text, sample, frame):
            return 2.0

    class Slow(Reward):
        bounds = (0.0, 1.0)

        def grade_one(self, text, sample, frame):
            start = time.process_time()
            while text == "slow" and time.process_time() < start + 0.06:
                pass
            return 0.0

    fuzzer = Fuzzer()
    fuzzer.rewards = dict.fromkeys(fuzzer.rewards, []) | {"counting": [Raises(), Wide(), Slow()]}
    fuzzer.grade(["ok", "", "slow"])
    assert any("ZeroDivisionError" in fault and "Raises: ''" in fault for fault in fuzzer.findings.faults)
    assert any("score 2.0 outside [0.0, 1.0] by Wide" in fault for fault in fuzzer.findings.faults)
    assert any("ms by Slow: 'slow'" in fault for fault in fuzzer.findings.faults)


def test_the_same_seed_gives_the_same_completions():
    from graders.hostile import completions

    first = list(completions(300, 3))
    assert first == list(completions(300, 3))
    assert first != list(completions(300, 4))
    assert max(map(len, first)) > 10_000


def test_a_million_completions_hold_every_odd_character_in_every_place():
    from fuzz_rewards import CHUNK
    from graders.hostile import WALK_EVERY, completions
    from graders.odd import STRIDE, alphabet, walk, walk_length, walked_marks

    part = CHUNK // WALK_EVERY
    for seed in (0, 3):
        assert list(completions(CHUNK, seed))[::WALK_EVERY] == list(islice(walk(seed * part), part))
    assert 1_000_000 // CHUNK * part >= walk_length()
    texts = set(islice(walk(0), walk_length()))
    assert walk_length() % STRIDE
    assert {
        "[12,\x1e 24, 30, 40]",
        "[12,\x1e24, 30, 40]",
        "\x00-7.5",
        "<think>a</think\ud800><answer>[1, 2, 3, 4]</answer>",
    } <= texts
    assert all(set(marks) & set(walked_marks()) for marks in alphabet().values())
    assert set(alphabet()["Cc"] + alphabet()["Zs"]) < set(walked_marks())


def test_the_fuzzer_finds_a_metric_that_raises():
    from fuzz_rewards import Fuzzer

    from vrft_pl.metrics import GroundingIoU

    class Raises(GroundingIoU):
        def values_of(self, completions, samples):
            return [float(text) for text in completions.texts]

    fuzzer = Fuzzer()
    fuzzer.rewards, fuzzer.metrics = dict.fromkeys(fuzzer.rewards, []), {"grounding": [Raises()]}
    fuzzer.grade(["1", "one"])
    (fault,) = fuzzer.findings.faults
    assert "ValueError (could not convert string to float: 'one') from Raises" in fault


@pytest.mark.slow
def test_looking_for_a_reward_never_pays_more_than_answering():
    from hack_rewards import search_all

    results = search_all(10)
    assert len(results) > 25
    assert [result for result in results if result.broken] == []
    assert all(result.honest > 0.99 for result in results if result.name.endswith("Match"))


def test_the_search_finds_a_reward_that_can_be_hacked():
    """The bidirectional substring test of Visual-RFT's classification reward."""
    from graders.questions import questions
    from hack_rewards import search

    from vrft_pl.rewards import LabelMatch, Reward
    from vrft_pl.rewards.parsing import Unread, read_answer

    class Substring(Reward):
        def grade_one(self, text, sample, frame):
            answer = read_answer(text, sample.style)
            answer = "" if isinstance(answer, Unread) else answer
            return float(len(answer) >= 0 and (answer in sample.solution.name or sample.solution.name in answer)) * 2

    result = search("Substring", [Substring()], questions("classification", 20))
    assert (result.best, result.policy) == (2, "writes nothing")
    assert result.broken
    assert not search("LabelMatch", [LabelMatch()], questions("classification", 20)).broken


def test_the_speed_of_every_reward_is_printed():
    done = forked(TOOLS / "bench_rewards.py", "--questions", "16", "--passes", "1")
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]]
    from graders.questions import rewards

    assert rows == [reward.name for judges in rewards().values() for reward in judges]

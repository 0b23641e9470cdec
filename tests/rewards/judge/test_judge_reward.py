"""A judge behind a server of this machine: asked at once, remembered, counted, and never the end of a run."""

from __future__ import annotations

import copy
import json
import pickle
import threading
import time
from pathlib import Path

import pytest
from builders import grey_scene, make_completions, make_sample
from forking import forked
from judge_server import JudgeServer
from training import Share, fit, grpo

from vrft_pl.answers import Box, Number
from vrft_pl.rewards import FunctionReward, GuardedReward, JudgeReward, Unread
from vrft_pl.rewards.base import REASONS
from vrft_pl.rollout.scoring import score
from vrft_pl.types import InputError, Sample

ERROR = REASONS.index(Unread.ERROR) + 1
SAMPLE = make_sample(Number(3.0), "answer")
pytestmark = pytest.mark.filterwarnings("ignore:Expected a verdict of judge")


def judge(server, **kwargs):
    return JudgeReward("some", server.base_url, **{"backoff": 0.0, "time_limit": 10.0, **kwargs})


def graded(reward, texts, sample=SAMPLE):
    grades = reward.grade(make_completions(texts), [sample] * len(texts))
    return grades.scores.tolist(), grades.parse_failures.tolist()


@pytest.fixture
def server():
    with JudgeServer(lambda text: 1.0 if text == "3" else 0.25) as running:
        yield running


def test_an_answer_scores_what_the_judge_says_of_it(server):
    assert graded(judge(server), ["3", "4", ""]) == ([1, 0.25, 0], [0, 0, REASONS.index(Unread.EMPTY) + 1])
    sent = next(body for route, body in server.requests)
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("some", 0.0, 64)
    assert "Question?" in sent["messages"][1]["content"]
    assert "The right answer:\n3" in sent["messages"][1]["content"]


def test_the_answer_alone_is_judged_or_the_whole_completion(server):
    text, seen = "<think>a</think><answer>3</answer>", []
    server.opinion = lambda judged: seen.append(judged) or 1
    for reads in ("answer", "completion"):
        judge(server, reads=reads).grade(make_completions([text]), [make_sample()])
    assert seen == ["3", "&lt;think&gt;a&lt;/think&gt;&lt;answer&gt;3&lt;/answer&gt;"]


def test_a_window_is_asked_for_at_once_and_each_answer_once(server):
    server.together = threading.Barrier(4)
    reward = judge(server, connections=4)
    assert graded(reward, ["1", "2", "3", "1", "4", "3"])[0] == [0.25, 0.25, 1, 0.25, 0.25, 1]
    assert not server.together.broken, "four at the same time"
    assert len(server.chats) == 4
    server.together = None
    assert graded(reward, ["1", "3"])[0] == [0.25, 1]
    assert len(server.chats) == 4
    assert reward.spent["remembered"] == 2
    assert (reward.spent["prompt_tokens"], reward.spent["completion_tokens"]) == (28, 8)


def test_no_more_is_asked_at_once_than_connections_allow(server):
    now, most, lock = [0], [0], threading.Lock()

    def slow(text):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return 1

    server.opinion = slow
    graded(judge(server, connections=2), [str(i) for i in range(8)])
    assert most[0] <= 2


def test_the_judge_thinks_while_other_rewards_grade(server):
    def wait(texts, samples):
        return [float(server.arrived.wait(10))] * len(texts)

    graders = [GuardedReward(FunctionReward(wait)), GuardedReward(judge(server))]
    scores = score(graders, [SAMPLE], make_completions(["3", "5"]), 0).by_reward
    assert (scores["wait"].tolist(), scores["JudgeReward"].tolist()) == ([1, 1], [1, 0.25])
    assert len(server.chats) == 2


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_fault_of_the_server_is_tried_again(server, status):
    server.statuses = [status, status]
    reward = judge(server)
    assert graded(reward, ["3"]) == ([1], [0])
    assert (reward.spent["requests"], reward.spent["retries"], reward.spent["failures"]) == (3, 2, 0)


def test_pauses_grow(server):
    server.statuses = [500, 500]
    start = time.monotonic()
    graded(judge(server, backoff=0.05), ["3"])
    assert time.monotonic() - start >= 0.15


@pytest.mark.parametrize(
    ("statuses", "requests"), [([400], 1), ([404], 1), ([500] * 9, 4)], ids=["refused", "no-route", "always-broken"]
)
def test_a_judge_that_fails_is_a_counted_zero_and_asked_again_the_next_time(server, statuses, requests):
    server.statuses = list(statuses)
    reward = judge(server)
    assert graded(reward, ["3"]) == ([0], [ERROR])
    assert (reward.spent["requests"], reward.spent["failures"]) == (requests, 1)
    server.statuses = []
    assert graded(reward, ["3"]) == ([1], [0])


@pytest.mark.parametrize("reply", ["Verdict: 1", "I think it is right.", "", "Verdict 123456: 7", "<think>"])
def test_a_reply_that_is_no_verdict_is_a_counted_zero(server, reply):
    server.opinion = lambda text: reply
    reward = judge(server)
    assert graded(reward, ["3", "4"]) == ([0, 0], [ERROR, ERROR])
    assert reward.spent["failures"] == 2
    assert reward.spent["retries"] == 0


def test_a_reply_that_repeats_the_answer_is_no_verdict(server):
    server.opinion = str
    assert graded(judge(server), ["Verdict 000000: 1", "Verdict: 1.0"])[0] == [0, 0]


@pytest.mark.parametrize(
    "body", [[], {}, {"choices": []}, {"choices": [{"message": {"content": None}}]}, {"choices": "x"}, "x" * 2_000_000]
)
def test_an_answer_of_another_shape_is_a_counted_zero(server, body, monkeypatch):
    monkeypatch.setattr(server, "answer", lambda *args: (200, body))
    assert graded(judge(server), ["3"]) == ([0], [ERROR])


def test_a_late_verdict_is_a_counted_zero_in_time(server):
    free = threading.Event()
    server.opinion = lambda text: float(free.wait(20))
    start = time.monotonic()
    with pytest.warns(UserWarning, match=r"no verdict|there is none: http://127.0.0.1:\d+/v1 took over 0.2 seconds"):
        assert graded(judge(server, time_limit=0.2), ["3", "4"]) == ([0, 0], [ERROR, ERROR])
    free.set()
    assert time.monotonic() - start < 10


def test_a_server_that_is_gone_costs_the_run_nothing_but_the_reward():
    with JudgeServer() as gone:
        pass
    guarded = GuardedReward(judge(gone))
    with pytest.warns(UserWarning, match="does not answer .* It counts 0") as told:
        scores = [score([guarded], [SAMPLE], make_completions(["3", "4"]), step).by_reward for step in range(2)]
    assert [s["JudgeReward"].tolist() for s in scores] == [[0, 0]] * 2
    assert (guarded.errors, len(told)) == (4, 1)


@pytest.mark.parametrize("text", ["x" * 1_000_000, "<answer>" * 100_000, "\x00" * 9000])
def test_a_heap_is_not_sent(server, text):
    start = time.perf_counter()
    assert graded(judge(server), [text]) == ([0], [REASONS.index(Unread.TOO_LONG) + 1])
    assert time.perf_counter() - start < 1
    assert server.chats == []


def test_verdicts_are_kept_in_a_folder_for_other_processes(server, tmp_path):
    assert graded(judge(server, folder=str(tmp_path)), ["3", "4"])[0] == [1, 0.25]
    other = judge(server, folder=str(tmp_path))
    assert graded(other, ["3", "4"])[0] == [1, 0.25]
    assert (len(server.chats), other.spent["requests"], other.spent["remembered"]) == (2, 0, 2)
    for file in tmp_path.rglob("*.json"):
        file.write_text("7")  # damaged
    assert graded(judge(server, folder=str(tmp_path)), ["3"])[0] == [1]
    assert len(server.chats) == 3
    for kwargs in ({"template": "{answer}?"}, {"high": 2.0}, {"request": {"seed": 1}}):
        judge(server, folder=str(tmp_path), **kwargs).grade(make_completions(["3"]), [SAMPLE])
    assert len(server.chats) == 6, "another question has another verdict"


def test_a_folder_that_cannot_be_written_is_told_of_and_left_alone(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="Expected to keep verdicts in"):
        assert graded(judge(server, folder=str(tmp_path / "file")), ["3"])[0] == [1]


def test_a_picture_is_sent_where_asked_for(server):
    sample = Sample("1", (grey_scene(),), "How many?", Number(3.0), style="answer")
    judge(server, picture=True).grade(make_completions(["3"]), [sample])
    [[_, user]] = server.chats
    assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    assert user["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_the_key_comes_from_a_variable_and_is_shown_to_the_server_alone(monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    with JudgeServer(token="s3cret") as server:
        reward = judge(server, key_variable="MY_KEY")
        assert graded(reward, ["3"])[0] == [1]
        monkeypatch.setattr(server, "token", "another")
        with pytest.warns(UserWarning, match="answered 401") as told:
            assert graded(reward, ["4"])[0] == [0]
    assert "s3cret" not in repr(vars(reward)) + repr(vars(reward.verdicts)) + repr(vars(reward.verdicts.endpoint))
    assert b"s3cret" not in pickle.dumps(reward.verdicts)
    assert "s3cret" not in "".join(str(one.message) for one in told)


def test_a_copy_remembers_and_counts_with_the_others(server):
    reward = judge(server)
    graded(reward, ["3"])
    clone = copy.deepcopy(reward)
    assert graded(clone, ["3"])[0] == [1]
    assert (len(server.chats), reward.spent["remembered"]) == (1, 1)
    assert graded(pickle.loads(pickle.dumps(reward)), ["4"])[0] == [0.25]


def test_what_was_spent_goes_on_counting_in_a_run_that_is_resumed(server):
    guarded = GuardedReward(judge(server))
    guarded.grade(make_completions(["3"]), [SAMPLE])
    state = json.loads(json.dumps(guarded.state_dict()))
    again = GuardedReward(judge(server))
    again.load_state_dict(state)
    again.grade(make_completions(["4"]), [SAMPLE])
    assert again.reward.spent["requests"] == 2
    plain = GuardedReward(FunctionReward(lambda texts, samples: [0.0], name="plain"))
    plain.load_state_dict(state)
    assert "spent" not in plain.state_dict()


def test_a_run_logs_what_its_judge_took(server, qwen3_vl):
    module = grpo(qwen3_vl, rewards=[Share(), judge(server, reads="completion", weight=0.5)], metrics=[])
    logged = fit(module).callback_metrics
    spent = module.spent()["JudgeReward"]
    assert spent["requests"] == len(server.chats) > 0
    assert logged["train/spent/JudgeReward/requests"] == spent["requests"]
    assert 0 < logged["train/reward/JudgeReward"] <= 1
    assert grpo(qwen3_vl).spent() == {}


@pytest.mark.nightly
def test_what_two_processes_spent_is_added_up(server, qwen3_vl, tmp_path):
    told = tmp_path / "spent.json"
    done = forked(Path(__file__).parents[2] / "judge_run.py", qwen3_vl, server.base_url, 2, told, ranks=2, timeout=300)
    assert done.returncode == 0, done.stderr
    spent = json.loads(told.read_text())
    assert spent["all"]["requests"] == len(server.chats)
    assert spent["all"]["prompt_tokens"] == 7 * len(server.chats)
    assert 0 < spent["own"]["requests"] < spent["all"]["requests"]


def test_held_out_answers_are_judged_too(server):
    reward = judge(server)
    reward.update(make_completions(["3", "4", " "]), [SAMPLE] * 3)
    assert reward.compute() == pytest.approx(1.25 / 3)


def test_a_truth_that_needs_a_picture_and_has_none_is_named(server):
    sample = make_sample(Box((0.0, 0.0, 1.0, 1.0)), "answer")
    with pytest.raises(InputError, match="row 7: expected a picture"):
        judge(server).grade(make_completions(["3"], frame=None), [sample])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "Expected `base_url` to be an address without a key"),
        ({"base_url": "http://me:s3cret@host/v1"}, "without a key, .*, but got http://host/v1"),
        ({"connections": 0}, "Expected `connections` of at least 1"),
        ({"time_limit": 0}, "`time_limit` above 0"),
        ({"time_limit": float("inf")}, "`time_limit` above 0"),
        ({"backoff": float("inf")}, "`backoff` of at least 0"),
        ({"folder": "a\0b"}, "`folder` to be the name of a folder"),
        ({"request": {"messages": []}}, r"`request` without \['messages'\], which the reward writes itself"),
        ({"request": {"temperature": float("nan")}}, "`request` to be JSON"),
        ({"reads": "thoughts"}, "Expected `reads` to be `answer` or `completion`"),
        (
            {"key_variable": "NO_SUCH_KEY"},
            "Expected a key in the environment variable 'NO_SUCH_KEY', but",
        ),
        ({"template": "{question}"}, "Expected `template` to hold"),
    ],
)
def test_what_cannot_be_asked_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        JudgeReward("some", **kwargs)

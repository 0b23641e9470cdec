import threading
import time
from types import SimpleNamespace

import pytest

from vrft_pl.rollout.vllm import fleet as module
from vrft_pl.rollout.vllm.client import Refused, ServerLost
from vrft_pl.rollout.vllm.fleet import Fleet
from vrft_pl.types import InputError


class Push:
    """A route to servers that are names; those in ``gone`` do not answer, those in ``new`` were started anew."""

    adapter = None

    def __init__(self, *servers):
        self.servers = [SimpleNamespace(address=name) for name in servers]
        self.gone, self.new, self.loads = set(), set(), []

    def has(self, server):
        if server.address in self.gone:
            raise ServerLost(f"{server.address} is gone")
        return server.address not in self.new

    def load(self, server):
        self.has(server)
        self.loads.append(server.address)
        self.new.discard(server.address)

    def fleet(self, patience=0.3):
        return Fleet(self.servers, self, patience)

    def done_by(self, jobs, patience=0.3):
        """Which server did each job."""
        done = {}

        def ask(server, job):
            if not self.has(server):
                raise ServerLost(f"{server.address} has other weights")
            done[job] = server.address

        self.fleet(patience).share(ask, jobs)
        return [done[job] for job in jobs]


def test_jobs_are_dealt_out_in_turn_and_ranks_begin_at_different_servers():
    push, done = Push("a", "b", "c"), {}
    assert push.done_by(range(5)) == ["a", "b", "c", "a", "b"]
    push.fleet().share(lambda server, job: done.setdefault(job, server.address), range(3), first=1)
    assert done == {0: "b", 1: "c", 2: "a"}


def test_all_jobs_are_asked_at_once():
    meeting = threading.Barrier(6, timeout=5)
    Push("a", "b").fleet().share(lambda server, job: meeting.wait(), range(6))


def test_a_lost_server_is_done_without():
    push = Push("a", "b")
    push.gone = {"a"}
    assert push.done_by(range(4), patience=5.0) == ["b"] * 4


def test_a_server_that_was_started_anew_gets_the_weights_once_and_works_on():
    push = Push("a")
    push.new = {"a"}
    assert push.done_by(range(8), patience=5.0) == ["a"] * 8
    assert push.loads == ["a"]


def test_a_server_that_comes_back_is_waited_for(monkeypatch):
    push = Push("a")
    monkeypatch.setattr(module, "REST", 0.1)
    push.gone, push.new = {"a"}, {"a"}
    threading.Timer(0.2, push.gone.clear).start()
    assert push.done_by(range(3), patience=5.0) == ["a"] * 3
    assert push.loads == ["a"]


def test_no_server_left_is_one_clear_error_and_the_other_jobs_stop():
    push = Push("a", "b")
    push.gone = {"a", "b"}
    start = time.monotonic()
    with pytest.raises(InputError, match=r"none did for 0.3 s \(a, b\). The last said: . is gone"):
        push.done_by(range(400))
    assert time.monotonic() - start < 3
    with pytest.raises(InputError, match="none did for 0.3 s"):
        push.fleet().bring()


def test_what_is_refused_is_not_asked_again():
    tries = []

    def ask(server, job):
        tries.append(job)
        raise Refused(400, server.address, "too long")

    with pytest.raises(Refused, match="answered 400: too long"):
        Push("a", "b").fleet().share(ask, [0])
    assert tries == [0]


def test_weights_are_brought_to_all_that_answer():
    push = Push("a", "b", "c")
    push.new, push.gone = {"a", "c"}, {"b"}
    with pytest.warns(match="b gets no new weights and is left out until it does: b is gone"):
        push.fleet().bring()
    assert sorted(push.loads) == ["a", "c"]


def test_a_server_that_keeps_other_weights_counts_as_lost():
    push = Push("a")
    push.new, push.load = {"a"}, lambda server: None
    with pytest.raises(InputError, match="a still has other weights"):
        push.fleet().bring()


def test_who_was_refused_before_another_job_mended_the_server_tries_again():
    """Both meet a server that was started anew; the adapter is there when the second one looks why it was refused."""
    push = Push("a")
    push.adapter, push.new = "adapter", {"a"}
    both, mended, done = threading.Barrier(2, timeout=5), threading.Event(), []

    def ask(server, job):
        if len(push.loads) == 0:
            both.wait()
            if job == 1:
                assert mended.wait(5)
            raise Refused(404, server.address, "no such model")
        mended.set()
        done.append(job)

    push.fleet(patience=5).share(ask, range(2))
    assert sorted(done) == [0, 1]
    assert push.loads == ["a"]

"""Ranks are threads here, each with a watchdog; `tools/faults.py` breaks real runs."""

import time
from types import SimpleNamespace

import pytest
from torch.distributed import HashStore

from vrft_pl.distributed import EXIT_CODE, Watchdog
from vrft_pl.distributed.watchdog import Pulse, behind, waits

SILENCE = 0.5


@pytest.fixture
def ranks():
    """Makes watchdogs of as many ranks."""
    made = []

    def make(count=2, timeout=60.0, **kwargs):
        store = HashStore()
        made.extend(Watchdog(lambda: store, rank, count, timeout, SILENCE, **kwargs) for rank in range(count))
        return made

    yield make
    for watchdog in made:
        watchdog.left.set()


@pytest.fixture
def ends(monkeypatch):
    """Exit codes, as ranks end."""
    codes = []
    monkeypatch.setattr("vrft_pl.distributed.watchdog.os._exit", codes.append)
    return codes


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def start(watchdogs):
    for watchdog in watchdogs:
        watchdog.mark("update", 3)
        watchdog.start()
    until(lambda: all(watchdog.heard for watchdog in watchdogs))


def test_ranks_that_are_well_go_on_and_leave_one_by_one(ranks, ends):
    start(both := ranks())
    time.sleep(2 * SILENCE)
    both[1].stop()
    time.sleep(2 * SILENCE)
    both[0].stop()
    assert ends == []
    assert not any(thread.is_alive() for watchdog in both for thread in watchdog.threads)


def test_the_first_rank_leaves_last_where_it_can(ranks, ends):
    """The store may be in its process: the others first have to read that it ends."""
    start(both := ranks())
    begin = time.monotonic()
    both[0].stop()
    assert time.monotonic() - begin >= 2 * both[0].beat
    until(lambda: both[1].heard[0].pulse.ended)
    both[1].stop()
    assert both[1].told_end
    assert ends == []


def test_a_rank_that_is_silent_is_named_by_the_others(ranks, ends, capsys):
    start(three := ranks(3))
    three[1].left.set()  # as a process that was killed
    until(lambda: len(ends) == 2)
    assert ends == [EXIT_CODE] * 2
    printed = capsys.readouterr().err
    assert printed.count("watchdog of rank") == 1
    last = printed.strip().splitlines()[-1]
    assert last.startswith("vrft_pl: Lost rank 1: silent for 0 s.")
    assert "rank 0: update, step 3, for" in printed
    assert "rank 2: update, step 3, for" in printed


def test_a_silent_first_rank_is_named(ranks, ends, capsys):
    start(three := ranks(3))
    three[0].left.set()
    until(lambda: len(ends) == 2)
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("vrft_pl: Lost rank 0: silent")


def test_a_phase_that_takes_too_long_ends_the_run_and_names_who_is_behind(ranks, ends, capsys):
    both = ranks(timeout=1.0)
    both[0].mark("rollout", 3)
    start(both)
    until(lambda: len(ends) == 2)
    printed = capsys.readouterr().err
    assert "vrft_pl: No progress for 1 s. Behind: rank 1 (update, step 3)." in printed
    assert "test_watchdog.py" in printed  # the stack of the main thread


def test_a_phase_may_have_a_limit_of_its_own(ranks, ends, capsys):
    both = ranks()
    start(both)
    both[0].mark("first all-reduce", 0, limit=0.2)
    until(lambda: len(ends) == 2)
    assert "No progress for 0 s." in capsys.readouterr().err


def test_an_exception_is_told_to_the_other_ranks(ranks, ends, capsys):
    start(both := ranks())
    both[1].fail(ValueError("row 7 is bad\nand more"), by_others=False)
    until(lambda: len(ends) == 1)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"vrft_pl: Rank 1 ended with ValueError: row 7 is bad. Exiting with {EXIT_CODE}."


def test_a_child_that_was_killed_is_named_at_once(ranks, ends, capsys):
    killed = []
    child = SimpleNamespace(poll=lambda: -9, kill=lambda: killed.append(True))
    first = ranks(children=[child])[0]
    first.start()
    until(lambda: ends)
    assert "vrft_pl: Lost rank 1: killed by signal 9." in capsys.readouterr().err
    assert killed == [True]


@pytest.mark.parametrize("code", [None, 0])
def test_a_child_that_runs_or_ended_well_is_not_missed(ranks, code):
    assert ranks(children=[SimpleNamespace(poll=lambda: code)])[0].trouble() == ""


def test_a_store_that_does_not_answer_is_trouble_unless_the_first_rank_left(ranks):
    second = ranks()[1]
    second.answered -= 1.0
    assert second.trouble() == "Lost rank 0: silent for 0 s."
    second.broken = True
    assert second.trouble() == "Lost rank 0: it is gone."
    second.heard = {0: SimpleNamespace(pulse=Pulse(ended=True), when=0.0)}
    assert second.trouble() == ""


WAITS = "    /lib/torch/nn/parallel/distributed.py:10 forward\n    /lib/torch/distributed/c10d.py:5 all_reduce"
WORKS = "    /lib/torch/distributed/c10d.py:5 barrier\n    /home/me/reward.py:7 score"


def test_who_waits_in_a_collective_is_not_who_is_waited_for():
    assert (waits(WAITS), waits(WORKS)) == (True, False)
    pulses = {0: Pulse("update", 4, marks=9), 1: Pulse("update", 4, marks=9)}
    assert behind(pulses, {0: WAITS, 1: WORKS}) == "The others wait for rank 1 (update, step 4)."
    assert behind(pulses, {0: WAITS, 1: WAITS}) == "No rank is behind the others: see what each does above."
    assert behind(pulses, {0: WAITS}) == ""

"""Names the rank that a distributed run waits for, and ends the run.

A process that waits in a collective runs no Python signal handlers, but its other threads run. Two of them stand guard
in each rank: one talks to the store, which may keep it waiting, and one judges by what the first last heard.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

from torch.distributed import Store

from vrft_pl.distributed.preflight import named

EXIT_CODE = 3
"""Of every rank when one is lost or hangs; 1 is a wrong input, 2 a wrong argument."""
BEAT = 1.0
"""Seconds between two notes of a rank, at most."""
GRACE = 4
"""Beats in which the other ranks hand in their stacks."""
FRAMES = 12
"""Innermost frames of a stack that are shown."""
WAITING = ("torch/distributed", "torch/nn/parallel/distributed.py", "torch/autograd/graph.py")
"""Where the innermost frame of a process lies that waits for others: collectives, DDP, the backward pass."""
STUCK = "No progress"
"""How an alarm begins that names no rank by itself."""


@dataclass(frozen=True)
class Pulse:
    """What a rank says of itself at each beat."""

    phase: str = "start"
    step: int = 0
    """Optimizer steps so far."""
    marks: int = 0
    """Times that a phase began: who has fewer is behind."""
    seconds: float = 0.0
    """Since the phase began."""
    beats: int = 0
    """Notes so far: one that does not grow is of a rank that is silent."""
    ended: bool = False
    """Whether it needs nobody any more."""
    failed: str = ""
    """The exception that it ended with."""


@dataclass
class Heard:
    """The last that was heard of a rank."""

    pulse: Pulse = field(default_factory=Pulse)
    when: float = field(default_factory=time.monotonic)
    """On this machine's clock: those of others may differ."""


class Watchdog:
    """Watches the other ranks, and the main thread of this one.

    The first rank watches all, each other one the first. Whoever finds trouble leaves a note, all hand in their stacks,
    one rank prints them, and all exit with `EXIT_CODE`.

    Args:
        connect: Opens a connection to the store of its own: one that is shared would be kept waiting with its owner.
        rank: This process.
        world_size: Number of processes.
        timeout: Seconds that a phase may take.
        silence: Seconds that a rank may say nothing.
        children: Processes of other ranks that this one started, in the order of their ranks from 1.
        holder: The process that holds the store, for people to read.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        rank: int,
        world_size: int,
        timeout: float,
        silence: float,
        children: Sequence[subprocess.Popen[bytes]] = (),
        holder: str = "rank 0",
    ) -> None:
        self.connect, self.rank, self.world_size, self.children = connect, rank, world_size, children
        self.timeout, self.silence, self.holder = timeout, silence, holder
        self.beat = min(BEAT, silence / 5)
        self.pulse, self.began, self.limit = Pulse(), time.monotonic(), timeout
        self.heard: dict[int, Heard] = {}
        self.stacks: dict[int, str] = {}
        self.alarm = ""
        self.reporter: int | None = None
        self.answered, self.broken = time.monotonic(), False
        self.raised: BaseException | None = None
        self.beats, self.told_end = 0, False
        self._main, self.left = threading.main_thread(), threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._talk, self._watch)]

    def start(self) -> None:
        """Stand guard."""
        for thread in self.threads:
            thread.start()

    def mark(self, phase: str, step: int, limit: float | None = None) -> None:
        """Note that the main thread begins something.

        Args:
            phase: What it is.
            step: Optimizer steps so far.
            limit: Seconds that it may take, in place of the timeout.
        """
        self.pulse = replace(self.pulse, phase=phase, step=step, marks=self.pulse.marks + 1)
        self.began, self.limit = time.monotonic(), self.timeout if limit is None else limit

    def fail(self, error: BaseException, by_others: bool) -> None:
        """Tell the other ranks of an exception before this process ends.

        Args:
            error: What was raised.
            by_others: Whether a collective broke, as it does when a rank is gone: waits then until that one is known,
                and ends the process, unless no rank is missed.
        """
        self.raised = error
        if by_others:
            self.silence = min(self.silence, 5 * self.beat)
            time.sleep(self.silence + (GRACE + 3) * self.beat)
        self.pulse = replace(self.pulse, failed=f"{type(error).__name__}: {error}".split("\n", 1)[0].rstrip("."))
        time.sleep(3 * self.beat)  # the store may be in this process, and the others look once a beat

    def stop(self) -> None:
        """Leave: this rank needs no other one any more, and is not missed."""
        self.pulse = replace(self.pulse, ended=True)
        latest = time.monotonic() + 2 * self.beat
        while self.threads[0].is_alive() and not self.released and time.monotonic() < latest:
            time.sleep(self.beat / 10)
        self.left.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join(2 * self.beat)  # one that is within the store when Python ends aborts the process

    @property
    def released(self) -> bool:
        """Whether this process may end: the store may be in the first, which so waits until the others have read."""
        if self.rank:
            return self.told_end
        return all(rank in self.heard and self.heard[rank].pulse.ended for rank in self.watched)

    @property
    def current(self) -> Pulse:
        """This rank's, at this moment. Only the main thread sets `pulse`: what it marks cannot be lost."""
        return replace(self.pulse, beats=self.beats, seconds=time.monotonic() - self.began)

    @property
    def watched(self) -> range:
        """Ranks that this one watches."""
        return range(1, self.world_size) if self.rank == 0 else range(1)

    def _talk(self) -> None:
        """Leave notes and read those of others until the store breaks."""
        try:
            store = self.connect()
            self._exchange(store)
            while not self.left.wait(self.beat):
                self.answered = time.monotonic()
                self._exchange(store)
        except RuntimeError:
            self.broken = True

    def _exchange(self, store: Store) -> None:
        """One beat."""
        self.beats += 1
        pulse = self.current
        store.set(f"pulse/{self.rank}", json.dumps(asdict(pulse)))
        self.told_end = pulse.ended
        alarmed = bool(self.alarm) or store.check(["alarm"])
        for rank in range(self.world_size) if alarmed else self.watched:
            self._listen(store, rank)
        if alarmed:
            self._answer_alarm(store)

    def _listen(self, store: Store, rank: int) -> None:
        """Take what is new of a rank."""
        heard = self.heard.setdefault(rank, Heard())
        if not store.check([f"pulse/{rank}"]):
            return
        pulse = Pulse(**json.loads(store.get(f"pulse/{rank}")))
        if pulse.beats != heard.pulse.beats:
            self.heard[rank] = Heard(pulse)

    def _answer_alarm(self, store: Store) -> None:
        """Hand in the stack of the main thread, and read those of the others."""
        store.set(f"stack/{self.rank}", self.stack())
        raised = json.loads(store.compare_set("alarm", "", json.dumps([self.rank, self.alarm])))
        self.reporter, self.alarm = raised
        for rank in range(self.world_size):
            if store.check([f"stack/{rank}"]):
                self.stacks[rank] = store.get(f"stack/{rank}").decode()

    def _watch(self) -> None:
        """Judge until this rank leaves or there is trouble."""
        while not self.left.wait(self.beat):
            if self.pulse.ended or self.pulse.failed:
                return
            if alarm := self.alarm or self.trouble():
                self.alarm = alarm
                self._end()
                return

    def trouble(self) -> str:
        """What is wrong; empty where nothing is."""
        now = time.monotonic()
        ended = {rank: child.poll() for rank, child in enumerate(self.children, 1)}
        if gone := {rank: code for rank, code in ended.items() if code}:
            return self.gone(next(iter(gone)), gone[next(iter(gone))])
        heard = dict(self.heard)
        if failed := [(rank, h.pulse.failed) for rank, h in heard.items() if h.pulse.failed]:
            return f"Rank {failed[0][0]} ended with {failed[0][1]}."
        if 0 in heard and heard[0].pulse.ended:
            return ""
        if self.broken or now - self.answered > self.silence:
            return f"Lost {self.holder}: " + ("it is gone." if self.broken else f"silent for {self.silence:.0f} s.")
        left = [r for r, h in heard.items() if now - h.when > self.silence and not (h.pulse.ended or r == self.rank)]
        if left:
            return f"Lost {named(left)}: silent for {self.silence:.0f} s."
        if now - self.began > self.limit:
            return f"{STUCK} for {self.limit:.0f} s."
        return ""

    def gone(self, rank: int, code: int) -> str:
        """What to say of a process that ended."""
        heard = self.heard.get(rank, Heard()).pulse
        if heard.failed:
            return f"Rank {rank} ended with {heard.failed}."
        return f"Lost rank {rank}: " + (
            f"killed by signal {-code}." if code < 0 else f"it ended with exit code {code}."
        )

    def stack(self) -> str:
        """Where the main thread is, or where it raised what broke a collective off; innermost last."""
        if self.raised is not None:
            frames = traceback.extract_tb(self.raised.__traceback__)
        else:
            frames = traceback.extract_stack(sys._current_frames().get(self._main.ident or 0))
        return "\n".join(f"    {f.filename}:{f.lineno} {f.name}" for f in frames[-FRAMES:])

    def _end(self) -> None:
        """Wait for the stacks of the others, report if it is up to this rank, and exit."""
        time.sleep(GRACE * self.beat)
        if self.reporter in (None, self.rank):
            print(self.report(), file=sys.stderr, flush=True)
        else:
            time.sleep(GRACE * self.beat)  # whoever started this process may kill the reporter when it ends
        for child in self.children:
            child.kill()  # a process that sleeps ends by nothing else
        sys.stdout.flush()
        os._exit(EXIT_CODE)

    def report(self) -> str:
        """Each rank's phase, step and stack, and as the last line which one the others wait for."""
        stacks = self.stacks | {self.rank: self.stack()}
        heard = self.heard | {self.rank: Heard(self.current)}
        pulses = {rank: last.pulse for rank, last in heard.items()}
        lines = [f"vrft_pl: watchdog of rank {self.rank}: {self.alarm}"]
        for rank in range(self.world_size):
            where = said(heard[rank]) if rank in heard else "never heard of"
            lines += [f"  rank {rank}: {where}", stacks.get(rank, "    no stack: it does not answer")]
        who = behind(pulses, stacks) if self.alarm.startswith(STUCK) else ""
        named_here = [f"vrft_pl: {self.alarm}", who, f"Exiting with {EXIT_CODE}."]
        return "\n".join([*lines, " ".join(filter(None, named_here))])


def said(heard: Heard) -> str:
    """What a rank did when it was last heard of."""
    pulse, ago = heard.pulse, time.monotonic() - heard.when
    late = f", heard of {ago:.0f} s ago" if ago >= 1 else ""
    return f"{pulse.phase}, step {pulse.step}, for {pulse.seconds:.0f} s{late}"


def behind(pulses: dict[int, Pulse], stacks: dict[int, str]) -> str:
    """Which rank the others wait for, as far as it shows.

    Args:
        pulses: The last of each rank that was heard of.
        stacks: Of each rank that answered.
    """
    if set(stacks) != set(pulses):
        return ""  # those that do not answer are named already
    working = [rank for rank, stack in sorted(stacks.items()) if not waits(stack)]
    if 0 < len(working) < len(stacks):
        return f"The others wait for {told(working, pulses)}."
    fewest, most = (choose(pulse.marks for pulse in pulses.values()) for choose in (min, max))
    if fewest < most:
        return f"Behind: {told([rank for rank, pulse in sorted(pulses.items()) if pulse.marks == fewest], pulses)}."
    return "No rank is behind the others: see what each does above."


def told(ranks: Iterable[int], pulses: dict[int, Pulse]) -> str:
    """Ranks and what the first of them does."""
    ranks = list(ranks)
    return f"{named(ranks)} ({pulses[ranks[0]].phase}, step {pulses[ranks[0]].step})"


def waits(stack: str) -> bool:
    """Whether a process waits for others, by the innermost frame that is shown."""
    return any(place in stack.rsplit("\n", 1)[-1] for place in WAITING)

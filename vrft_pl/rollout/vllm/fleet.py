"""Several servers as one: prompts are shared out, and a server that is lost is asked again or done without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_warn

from vrft_pl.rollout.vllm.client import Refused, Server, ServerLost
from vrft_pl.rollout.vllm.push import Push
from vrft_pl.types import InputError

T = TypeVar("T")
REST = 2.0
"""Seconds before a lost server is asked again."""
BETWEEN_TRIES = 0.2
"""Seconds before a job is tried again."""


class Fleet:
    """Servers that all have the same weights.

    Args:
        servers: At least one.
        push: Brings a server that was started anew up to date.
        patience: Seconds without any server after which waiting ends.
        at_once: Requests to each server at the same time.
    """

    def __init__(self, servers: Sequence[Server], push: Push, patience: float, at_once: int = 64) -> None:
        self.servers, self.push, self.patience, self.at_once = tuple(servers), push, patience, at_once
        self._lost: dict[int, float] = {}
        self._mending = [threading.Lock() for _ in self.servers]
        self._loads = [0 for _ in self.servers]

    def share(self, ask: Callable[[Server, T], None], jobs: Sequence[T], first: int = 0) -> None:
        """Share out jobs, all at once, and repeat those whose server is lost.

        Args:
            ask: Does one job at a server; raises `ServerLost` where another try may go well.
            jobs: What to do.
            first: Server of the first job, so that ranks begin at different ones.

        Raises:
            InputError: If a job is refused, or no server is left for longer than the patience.
        """
        stop = threading.Event()

        def insist(i: int) -> None:
            try:
                self._insist(ask, jobs[i], first + i, stop)
            except BaseException:
                stop.set()
                raise

        with ThreadPoolExecutor(min(max(1, len(jobs)), self.at_once * len(self.servers))) as pool:
            for done in [pool.submit(insist, i) for i in range(len(jobs))]:
                done.result()

    def check_versions(self) -> None:
        """Wait for the first server that answers.

        Raises:
            InputError: If none does for longer than the patience, or one has a version that is not known.
        """
        until = time.monotonic() + self.patience
        while True:
            lost = []
            for server in self.servers:
                try:
                    server.check_version()
                except ServerLost as error:
                    lost.append(error)
            if len(lost) < len(self.servers):
                return
            if time.monotonic() > until:
                raise self._none_left(lost[0])
            time.sleep(min(REST, self.patience))

    def is_ready(self) -> bool:
        """Whether every server answers and has the weights."""
        try:
            return all(self.push.has(server) for server in self.servers)
        except ServerLost:
            return False

    def bring(self) -> None:
        """Put what is ready on every server, and warn of those that can't take it.

        Raises:
            InputError: If none can for longer than the patience.
        """
        until = time.monotonic() + self.patience
        with ThreadPoolExecutor(len(self.servers)) as pool:
            while True:
                said = list(pool.map(self._mend, range(len(self.servers))))
                if None in said:
                    break
                if time.monotonic() > until:
                    raise self._none_left(said[0])
                time.sleep(min(REST, self.patience))
        for server, reason in zip(self.servers, said, strict=True):
            if reason is not None:
                rank_zero_warn(f"{server.address} gets no new weights and is left out until it does: {reason}")

    def _insist(self, ask: Callable[[Server, T], None], job: T, turn: int, stop: threading.Event) -> None:
        """Do a job at the first server that does it."""
        until: float | None = None
        while not stop.is_set():
            number = self._choose(turn)
            loads = self._loads[number]
            try:
                return ask(self.servers[number], job)
            except (ServerLost, Refused) as error:
                if isinstance(error, Refused) and not self._lacked_adapter(number, error, loads):
                    raise
                until = until or time.monotonic() + self.patience
                if time.monotonic() > until:
                    raise self._none_left(error) from error
                if self._mend(number) is not None:
                    self._lost[number] = time.monotonic()
                    if len(self._lost) == len(self.servers):
                        stop.wait(min(REST, self.patience))
                else:
                    stop.wait(BETWEEN_TRIES)
                turn += 1
        return None

    def _choose(self, turn: int) -> int:
        """The next server that is not lost, or whose rest is over."""
        now, count = time.monotonic(), len(self.servers)
        order = [(turn + i) % count for i in range(count)]
        return next((i for i in order if now - self._lost.get(i, now - REST) >= REST), order[0])

    def _mend(self, number: int) -> str | None:
        """Put what is ready on a server that lacks it. Returns why that is not possible, if it is not."""
        server = self.servers[number]
        with self._mending[number]:
            try:
                if not self.push.has(server):
                    self._loads[number] += 1  # before: who was refused and looks meanwhile tries again
                    self.push.load(server)
                if not self.push.has(server):
                    return f"{server.address} still has other weights"
            except (ServerLost, Refused) as error:
                return str(error)
        self._lost.pop(number, None)
        return None

    def _lacked_adapter(self, number: int, error: Refused, loads: int) -> bool:
        """Whether a server refused because it was started anew: it then never saw the adapter it is asked for.

        Args:
            number: The server.
            error: What it said.
            loads: Times that it was mended before it was asked: another job may have done so since.
        """
        if error.status != 404 or self.push.adapter is None:
            return False
        try:
            return self._loads[number] != loads or not self.push.has(self.servers[number])
        except ServerLost:
            return True

    def _none_left(self, reason: object) -> InputError:
        addresses = ", ".join(server.address for server in self.servers)
        return InputError(
            f"Expected a server of vLLM that answers, but none did for {self.patience:g} s ({addresses}). The last "
            f"said: {reason!s:.300}. Start it by `vrft_pl serve`, and resume the run."
        )

"""Notes that ranks leave for each other without a collective, so that one which is silent can be named.

A call to the store waits as long as the process behind it sleeps, whatever timeout it is given: whoever may not wait
asks from another thread, with `within`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from lightning.pytorch.strategies import Strategy
from torch.distributed import PrefixStore, Store, TCPStore

from vrft_pl.types import InputError

T = TypeVar("T")
PREFIX = "vrft_pl"
"""Keeps our keys apart from those of the process group, whose store has the same address."""


@dataclass(frozen=True)
class Place:
    """Where a process stands in a distributed run."""

    address: str
    """The machine whose process holds the store."""
    port: int
    """Where it listens."""
    rank: int
    """This process, counted from 0."""
    world_size: int
    """Number of processes."""

    @staticmethod
    def of(strategy: Strategy) -> Place | None:
        """Read it from a strategy that is not set up yet; ``None`` where there is one process."""
        environment = getattr(strategy, "cluster_environment", None)
        if environment is None or strategy.world_size < 2:  # type: ignore[attr-defined]  # of every parallel one
            return None
        address, port = environment.main_address, environment.main_port
        return Place(address, port, strategy.global_rank, strategy.world_size)  # type: ignore[attr-defined]

    @property
    def holds_store(self) -> bool:
        """Whether the store is in this process."""
        return self.rank == 0 and self.holder == "rank 0"

    @property
    def holder(self) -> str:
        """The process that the store is in: under torchrun it is that which started the others."""
        return "torchrun of the first machine" if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" else "rank 0"


def open_store(place: Place, seconds: float) -> Store:
    """Connect to the store that the process group will use too.

    Args:
        place: Of this process.
        seconds: How long it may take.

    Raises:
        InputError: If the port is taken, or nobody answers there.
    """
    if not place.holds_store:
        wait_for_port(place, seconds)
    try:
        store = within(seconds, lambda: connect(place, seconds))
    except TimeoutError:
        raise InputError(
            f"Expected rank 0 behind {place.address}:{place.port}, but another program answers there. "
            "Set MASTER_PORT to a port that is free."
        ) from None
    except RuntimeError as error:
        if "EADDRINUSE" in str(error):
            raise InputError(port_taken(place.port)) from None
        raise InputError(
            f"Expected rank 0 behind {place.address}:{place.port}, but rank {place.rank} got: {first_line(error)}. "
            "Give all ranks the same MASTER_ADDR and MASTER_PORT."
        ) from None
    return PrefixStore(PREFIX, store)


def connect(place: Place, seconds: float) -> TCPStore:
    """Connect as torch does for the process group; a second server of this process is the first one again."""
    timeout, server = timedelta(seconds=seconds), place.holds_store
    return TCPStore(
        place.address, place.port, place.world_size, server, timeout, wait_for_workers=False, multi_tenant=server
    )


def wait_for_port(place: Place, seconds: float) -> None:
    """Knock until somebody listens: torch's own client writes pages while it does.

    Raises:
        InputError: If nobody does in time.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((place.address, place.port), timeout=max(0.1, end - time.monotonic())).close()
            return
        except OSError as error:
            if isinstance(error, socket.gaierror) or time.monotonic() > end:
                raise InputError(
                    f"Expected rank 0 to listen on {place.address}:{place.port} within {seconds:.0f} s, but rank "
                    f"{place.rank} got: {error}. Start rank 0, or set MASTER_ADDR and MASTER_PORT to where it is."
                ) from None
            time.sleep(0.1)


def within(seconds: float, call: Callable[[], T]) -> T:
    """What a call gives back, or raises, unless it takes too long; it goes on in its thread then.

    Raises:
        TimeoutError: If it does.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def answer() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # raised again below, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError
    return answers[0]


def port_taken(port: int) -> str:
    """What to say of a port on which another program listens."""
    return (
        f"Expected port {port} (MASTER_PORT) to be free, but another program listens there. Set MASTER_PORT to a free "
        "one on every rank, or unset it where one machine runs them all."
    )


def first_line(error: BaseException) -> str:
    """The part of an error that says something."""
    return str(error).split("\n", 1)[0].rstrip(". ")

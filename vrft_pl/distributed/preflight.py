"""What ranks compare before the first step: who is there, and whether all run the same."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping

from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.strategies import Strategy
from torch.distributed import Store

from vrft_pl.distributed.store import Place, port_taken, within
from vrft_pl.types import InputError

Facts = Mapping[str, object]
"""What has to be the same on every rank, by its name."""
PROCESSES_OF_A_CORE = 4
"""Most processes for a core of a machine without GPUs: with more of them nothing goes on at all."""
POLL = 0.1
"""Seconds between two looks into the store."""
MOST_NAMED = 8
"""Ranks that a message names."""


def device_refusal(accelerator: object, devices: object) -> str | None:
    """What cannot be asked of a trainer; Lightning would end in a traceback."""
    text = str(devices)
    least = 1 if accelerator == "cpu" else -1
    if text.lstrip("-").isdigit() and (int(text) < least or int(text) == 0):
        every = "" if least == 1 else ", or -1 for all there are"
        return f"Expected `trainer.devices` to be a number of devices from 1{every}, but got {text}."
    has_gpus = CUDAAccelerator.is_available() or MPSAccelerator.is_available()
    if accelerator in ("gpu", "cuda") and not has_gpus:
        return (
            f"Expected GPUs for `trainer.accelerator: {accelerator}`, but this machine shows none. Use `cpu`, or look "
            "what `nvidia-smi` and CUDA_VISIBLE_DEVICES say."
        )
    most = PROCESSES_OF_A_CORE * (os.cpu_count() or 1)
    if (accelerator == "cpu" or not has_gpus) and text.isdigit() and int(text) > most:
        return f"Expected at most {most} for `trainer.devices`, {PROCESSES_OF_A_CORE} to a core, but got {text}."
    return None


def launch_refusals(strategy: Strategy) -> list[str]:
    """Why the processes of a run cannot find each other; empty where they may."""
    environment: ClusterEnvironment | None = getattr(strategy, "cluster_environment", None)
    if environment is None:
        return []
    found = (missing_interface("GLOO_SOCKET_IFNAME"), wrong_world_size(strategy, environment), taken_port(strategy))
    return [why for why in found if why]


def wrong_world_size(strategy: Strategy, environment: ClusterEnvironment) -> str | None:
    """Another number of processes than was started, as torchrun and SLURM say it."""
    devices, nodes = getattr(strategy, "num_processes", 1), getattr(strategy, "num_nodes", 1)
    try:
        environment.validate_settings(devices, nodes)
    except ValueError:
        started = environment.world_size()
        return (
            f"Expected `trainer.devices` times `trainer.num_nodes` to be the {started} processes that were started, "
            f"but got {devices} times {nodes}. Change them, or how many are started a node and on how many nodes."
        )
    return None


def missing_interface(variable: str) -> str | None:
    """A network interface that this machine does not have."""
    named, has = os.environ.get(variable, ""), [name for _, name in socket.if_nameindex()]
    if missing := [name for name in named.split(",") if name and name not in has]:
        return (
            f"Expected {variable} to be a network interface out of {', '.join(has)}, but got {missing[0]!r}. "
            "Unset it, or name the one that the nodes see each other by."
        )
    return None


def taken_port(strategy: Strategy) -> str | None:
    """A port on which another program listens already where the store is to be."""
    if "MASTER_PORT" not in os.environ or (place := Place.of(strategy)) is None or not place.holds_store:
        return None
    with socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", place.port))
        except OSError:
            return port_taken(place.port)
    return None


def meet(store: Store, place: Place, facts: Facts, seconds: float) -> None:
    """Wait until every rank is here and has the same facts. Every rank calls it, once.

    Each rank compares its facts with those of the first and says so; the first waits for all, and tells all what came
    of it: as many messages as ranks.

    Args:
        store: The one of all ranks.
        place: Of this process.
        facts: What has to be the same.
        seconds: How long to wait for a rank.

    Raises:
        InputError: On the first rank, naming a rank that is silent or differs; on another one, if the first is silent.
        SystemExit: On another one, where the first says why.
    """
    if place.rank:
        follow(store, place, facts, seconds)
        return
    store.set("facts", json.dumps(facts, default=str))
    answers = collect(store, place.world_size, seconds)
    silent = [rank for rank in range(1, place.world_size) if rank not in answers]
    trouble = absent(silent, place.world_size, seconds) if silent else next(filter(None, answers.values()), "")
    store.set("trouble", trouble)
    if trouble:
        raise InputError(trouble)


def follow(store: Store, place: Place, facts: Facts, seconds: float) -> None:
    """Answer the first rank and wait for what it concludes."""
    try:
        first = json.loads(read(store, "facts", seconds))
        twice = store.add(f"came/{place.rank}", 1) > 1
        mine = json.loads(json.dumps(facts, default=str))
        store.set(f"answer/{place.rank}", two_of(place.rank) if twice else difference(first, mine, place.rank))
        trouble = read(store, "trouble", 2 * seconds)
    except (TimeoutError, RuntimeError):
        raise InputError(
            f"Expected rank 0 to answer within {seconds:.0f} s before the first step, but it is silent. "
            "Look at its output and at its machine."
        ) from None
    if trouble:
        sys.exit(1)


def collect(store: Store, world_size: int, seconds: float) -> dict[int, str]:
    """What the other ranks answer, by their number, as far as they do in time."""
    answers: dict[int, str] = {}
    end = time.monotonic() + seconds
    while len(answers) < world_size - 1 and time.monotonic() < end:
        for rank in range(1, world_size):
            if rank not in answers and store.check([f"answer/{rank}"]):
                answers[rank] = store.get(f"answer/{rank}").decode()
        time.sleep(POLL)
    return answers


def read(store: Store, key: str, seconds: float) -> str:
    """Wait for a note.

    Raises:
        TimeoutError: If there is none in time.
    """
    end = time.monotonic() + seconds
    while not within(max(POLL, end - time.monotonic()), lambda: store.check([key])):
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(POLL)
    return store.get(key).decode()


def difference(first: Facts, mine: Facts, rank: int) -> str:
    """The first fact that is another one here than on the first rank; empty where all are the same.

    Example:
        >>> difference({"torch": "2.15.0"}, {"torch": "2.14.1"}, rank=3)
        'Expected every rank to have the same torch, but got 2.15.0 on rank 0 and 2.14.1 on rank 3. Make them equal.'
    """
    for name in dict.fromkeys([*first, *mine]):
        here, there = mine.get(name), first.get(name)
        if here != there:
            got = f"{there} on rank 0 and {here} on rank {rank}"
            return f"Expected every rank to have the same {name}, but got {got}. Make them equal."
    return ""


def absent(silent: list[int], world_size: int, seconds: float) -> str:
    """What to say of ranks that did not come."""
    return (
        f"Expected {world_size} ranks within {seconds:.0f} s, but {named(silent)} did not come. Look at "
        "the output there, start what is missing, or give `watchdog.arrival` more seconds."
    )


def two_of(rank: int) -> str:
    """What to say of a process too many."""
    return f"Expected one process to be rank {rank}, but two are. Give each process a RANK of its own."


def named(ranks: Iterable[int]) -> str:
    """Ranks for people to read.

    Example:
        >>> named([3]), named([1, 2])
        ('rank 3', 'ranks 1, 2')
    """
    ranks = list(ranks)
    more = f" and {len(ranks) - MOST_NAMED} more" if len(ranks) > MOST_NAMED else ""
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks[:MOST_NAMED]))}{more}"

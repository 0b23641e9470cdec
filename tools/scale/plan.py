"""Every way to run a job on a number of cards, what each takes and what limits it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scale.cards import Assumptions, Card
from scale.job import Job
from scale.strategies import STRATEGIES, trained
from scale.terms import (
    HALF,
    decode_seconds,
    optimizer_seconds,
    prefill_seconds,
    push_seconds,
    reference_seconds,
    update_seconds,
)

SPLITS = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8)
"""Shares of the cards that engines may have."""
RESERVED = 0.15
"""Share of a card for activations, logits and what the allocator can't use."""
WEIGHTS = 0.6
"""Largest share of an engine's cards for weights; the rest is for caches."""


@dataclass(frozen=True)
class Plan:
    """One way."""

    strategy: str
    engines: int
    """Cards that sample; all of them where they take turns with training."""
    trainers: int
    taking_turns: bool
    tensor_parallel: int
    """Cards of one engine."""
    terms: dict[str, float]
    """Seconds of each part."""
    bytes_held: float
    """Of the card that trains."""
    fits: bool

    @property
    def seconds(self) -> float:
        """Of a step. Apart from each other, sampling and training of neighbouring steps run at once."""
        sampling, training = (sum(self.terms[name] for name in names) for names in (SAMPLING, TRAINING))
        if self.taking_turns:
            return sampling + training + self.terms["push"]
        return max(sampling, training) + self.terms["push"]

    @property
    def limit(self) -> str:
        """The largest part of what the step waits for, or that it does not fit."""
        if not self.fits:
            return "memory"
        sampling, training = (sum(self.terms[name] for name in names) for names in (SAMPLING, TRAINING))
        waited = SAMPLING + TRAINING if self.taking_turns else SAMPLING if sampling > training else TRAINING
        return max((*waited, "push"), key=lambda name: self.terms[name])


SAMPLING = ("prefill", "decode")
TRAINING = ("reference", "update", "optimizer", "communication")


def plans(job: Job, card: Card, cards: int, micro: int = 1, given: Assumptions | None = None) -> list[Plan]:
    """All plans, those that fit first and the fastest of them foremost; of equals the simplest.

    Args:
        job: What is done.
        card: What it is done on.
        cards: How many there are.
        micro: Micro-batches of a step on each card that trains.
        given: Shares of the peaks.
    """
    shares = sorted({round(cards * share) for share in SPLITS} - {0, cards})
    found = [
        make(name, job, card, engines, trainers, turns, micro, given or Assumptions())
        for name in STRATEGIES
        for engines, trainers, turns in [(cards, cards, True), *((n, cards - n, False) for n in shares)]
    ]
    return sorted(found, key=lambda plan: (not plan.fits, round(plan.seconds, 1)))


def make(
    name: str, job: Job, card: Card, engines: int, trainers: int, turns: bool, micro: int, given: Assumptions
) -> Plan:
    """One plan."""
    strategy = STRATEGIES[name]
    parallel = tensor_parallel(job, card)
    waves = cache_waves(job, card, engines, parallel)
    staying = strategy.staying(job, card, trainers)
    terms = {
        "prefill": prefill_seconds(job, card, engines, given),
        "decode": decode_seconds(job, card, engines, parallel, waves, given),
        "reference": reference_seconds(job, card, trainers, given),
        "update": update_seconds(job, card, trainers),
        "optimizer": optimizer_seconds(card, strategy.shards(card, trainers), given, trained(job)),
        "communication": (1 - given.overlapped) * strategy.sending(job, card, trainers, given, micro),
        "push": push_seconds(job, card, given, far=not turns and engines + trainers > card.per_node),
    }
    if turns:
        terms["push"] += given.reshard
    fits = staying <= (1 - RESERVED) * card.memory and parallel <= min(engines, card.per_node)
    fits = fits and job.rows >= engines // parallel and job.prompts >= trainers
    return Plan(name, engines, trainers, turns, parallel, terms, staying, fits)


def tensor_parallel(job: Job, card: Card) -> int:
    """Cards of an engine, so that weights take no more than `WEIGHTS` of each."""
    parallel = 1
    while HALF * job.parameters / parallel > WEIGHTS * card.memory:
        parallel *= 2
    return parallel


def cache_waves(job: Job, card: Card, engines: int, parallel: int) -> int:
    """Times that an engine has to begin anew because the caches of its rows do not fit at once."""
    rows = job.rows * parallel / engines
    room = parallel * (1 - RESERVED) * card.memory - HALF * job.parameters
    return max(1, math.ceil(rows * job.cache * (job.prompt / job.group + job.longest) / room))

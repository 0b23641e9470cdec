"""The terms of a step in seconds, each a pure function of what is done and of what it is done on."""

from __future__ import annotations

from scale.cards import Assumptions, Card
from scale.job import Job

HALF = 2
"""Bytes of a weight in bfloat16."""
ADAMW = 12
"""Bytes a weight of its float32 copy and the two moments."""


def prefill_seconds(job: Job, card: Card, cards: int, given: Assumptions) -> float:
    """Reading the prompts: bound by operations."""
    return job.prefill_flops / (cards * card.flops * given.prefill_mfu)


def decode_seconds(job: Job, card: Card, cards: int, parallel: int, waves: int, given: Assumptions) -> float:
    """Writing the longest completion token by token, while the others end on the way.

    An engine of ``parallel`` cards reads its weights and the caches of its rows for each token: bound by bandwidth, or
    by operations where there are many rows. What its caches have no room for is written in later waves.
    """
    rows = job.rows * parallel / cards / waves
    weights = HALF * (job.layers + job.head)
    alive = job.completion / job.longest  # rows that still write, averaged over the steps
    caches = rows * alive * job.cache * (job.prompt + job.completion / 2)
    reading = (weights + caches) / (parallel * card.bandwidth * given.bandwidth_share)
    computing = 2 * (job.layers + job.head) * rows * alive / (parallel * card.flops * given.prefill_mfu)
    return waves * job.longest * (max(reading, computing) + given.token_overhead)


def reference_seconds(job: Job, card: Card, cards: int, given: Assumptions) -> float:
    """The forward pass of the reference."""
    return job.reference * job.forward_flops / (cards * card.flops * given.prefill_mfu)


def update_seconds(job: Job, card: Card, cards: int) -> float:
    """Forward, recomputation and backward."""
    return job.update_flops / (cards * card.flops * card.mfu)


def optimizer_seconds(card: Card, shards: int, given: Assumptions, trained: float) -> float:
    """AdamW reads and writes its states: 28 bytes a trained weight."""
    return 28 * trained / shards / (card.bandwidth * given.bandwidth_share)


def ring_seconds(nbytes: float, card: Card, cards: int, given: Assumptions) -> float:
    """An all-gather or a reduce-scatter of that many bytes; a ring is as slow as its slowest link."""
    link = card.link if cards <= card.per_node else card.network
    return nbytes * (cards - 1) / cards / (link * given.link_share)


def push_seconds(job: Job, card: Card, given: Assumptions, far: bool) -> float:
    """New weights to the engines, a broadcast in pieces: every engine has them after one transfer."""
    return HALF * job.parameters / ((card.network if far else card.link) * given.link_share)

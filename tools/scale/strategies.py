"""How training is spread over cards: what each holds and what it sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scale.cards import Assumptions, Card
from scale.job import Job
from scale.terms import ADAMW, HALF, ring_seconds

LORA_SHARE = 0.02
"""Adapters of rank 64 on a language model, of its weights."""


@dataclass(frozen=True)
class Strategy:
    """One way to spread training."""

    staying: Callable[[Job, Card, int], float]
    """Bytes a card of weights, gradients, states and a copy for reference."""
    sending: Callable[[Job, Card, int, Assumptions, int], float]
    """Seconds a step of communication, nothing hidden; the last argument counts micro-batches."""
    shards: Callable[[Card, int], int]
    """Cards that share the states of the optimizer."""


def trained(job: Job) -> float:
    """Weights that are trained."""
    return job.parameters * (1 if job.training == "full" else LORA_SHARE)


def held(job: Job, weights: int, gradients: int, states: int) -> float:
    """Bytes a card, each kind shared by that many; a reference that is a copy is spread as the weights are."""
    mine, copies = trained(job), 1 + (job.reference and job.training == "full")
    return copies * HALF * job.parameters / weights + HALF * mine / gradients + ADAMW * mine / states


def all_reduce(job: Job, card: Card, cards: int, given: Assumptions) -> float:
    """Gradients once a step, as a reduce-scatter and an all-gather."""
    return 2 * ring_seconds(HALF * trained(job), card, cards, given)


def sharded(job: Job, card: Card, cards: int, given: Assumptions, micro: int) -> float:
    """Weights are gathered forward and backward, and gradients scattered, in every micro-batch."""
    weights, gradients = HALF * job.parameters, HALF * trained(job)
    return micro * (2 * ring_seconds(weights, card, cards, given) + ring_seconds(gradients, card, cards, given))


def hybrid(job: Job, card: Card, cards: int, given: Assumptions, micro: int) -> float:
    """Sharded within a node; a node's share of the gradients is averaged with the other nodes'."""
    inside = min(cards, card.per_node)
    nodes = max(1, cards // inside)
    between = 2 * HALF * trained(job) / inside * (nodes - 1) / nodes / (card.network * given.link_share)
    return sharded(job, card, inside, given, micro) + between


def in_node(card: Card, cards: int) -> int:
    """Cards of a node that take part."""
    return min(cards, card.per_node)


STRATEGIES = {
    "ddp": Strategy(
        staying=lambda job, card, n: held(job, 1, 1, 1),
        sending=lambda job, card, n, given, micro: all_reduce(job, card, n, given),
        shards=lambda card, n: 1,
    ),
    "deepspeed_stage_2": Strategy(
        staying=lambda job, card, n: held(job, 1, n, n),
        sending=lambda job, card, n, given, micro: (
            micro * ring_seconds(HALF * trained(job), card, n, given)
            + ring_seconds(HALF * trained(job), card, n, given)
        ),
        shards=lambda card, n: n,
    ),
    "fsdp2 in a node, replicas between": Strategy(
        staying=lambda job, card, n: held(job, *[in_node(card, n)] * 3), sending=hybrid, shards=in_node
    ),
    "fsdp2 over all": Strategy(
        staying=lambda job, card, n: held(job, n, n, n), sending=sharded, shards=lambda card, n: n
    ),
}
"""By name, from the simplest to the one that holds least. ZeRO-3 holds and sends what ``fsdp2 over all`` does."""

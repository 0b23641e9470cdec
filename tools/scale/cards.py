"""Cards and the network between them: peak numbers of data sheets, and the shares of them that work gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """One device. Rates are peaks, one direction, dense."""

    flops: float
    """Operations a second in the precision of training."""
    memory: float
    """Bytes."""
    bandwidth: float
    """Bytes a second from its memory."""
    link: float
    """Bytes a second to a card of the same node."""
    network: float
    """Bytes a second to a card of another node."""
    per_node: int
    mfu: float
    """Share of `flops` that training gets, attention and everything else included; see `tools/plan_scale.md`."""


CARDS = {
    # https://www.nvidia.com/en-us/data-center/a100/ ; HDR 200 Gb/s a card
    "A100-80": Card(312e12, 80e9, 2.04e12, 300e9, 25e9, 8, 0.45),
    # https://www.nvidia.com/en-us/data-center/h100/ ; NDR 400 Gb/s a card
    "H100": Card(989e12, 80e9, 3.35e12, 450e9, 50e9, 8, 0.28),
    # https://www.nvidia.com/en-us/data-center/h200/
    "H200": Card(989e12, 141e9, 4.8e12, 450e9, 50e9, 8, 0.28),
    # https://www.nvidia.com/en-us/data-center/dgx-b200/ , an eighth of it
    "B200": Card(2250e12, 180e9, 8.0e12, 900e9, 50e9, 8, 0.28),
    # https://www.nvidia.com/en-us/data-center/l4/ ; PCIe 4.0 x 16, 100 Gb/s a node of 8
    "L4": Card(121e12, 24e9, 0.3e12, 32e9, 1.6e9, 8, 0.28),
}


@dataclass(frozen=True)
class Assumptions:
    """Shares of the peaks that work gets, where no measurement of ours says more."""

    prefill_mfu: float = 0.5
    """Of the operations, where prompts are read and where nothing goes backward."""
    bandwidth_share: float = 0.6
    """Of the memory's bandwidth, where tokens are decoded."""
    link_share: float = 0.7
    """Of a link's bandwidth."""
    overlapped: float = 0.7
    """Share of the communication of training that computing hides."""
    token_overhead: float = 2e-3
    """Seconds of each decoding step that depend on nothing: launches, drawing, the scheduler."""
    reshard: float = 2.0
    """Seconds in which a card that takes turns puts weights, states and caches away and back."""

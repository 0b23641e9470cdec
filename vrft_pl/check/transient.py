"""How much memory comes and goes with a step, and which card holds it all? Estimated by formula, not measured.

What is counted: the activations of one micro-batch, each prompt once; the chunk of logits that exists at a time; keys,
values and probabilities of a rollout. Left out: what the allocator can't use again, and a frozen vision tower, which
looks at one prompt at a time and keeps nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vrft_pl.policy.logprobs import CHUNK_BYTES

CARDS = (16, 24, 40, 48, 80, 96, 141, 180, 288)
"""Memory of common cards in 10^9 bytes."""
CONTEXT = 2**30
"""Bytes of a card that the driver, its kernels and the libraries take."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a stack of layers that its memory depends on."""

    layers: int
    hidden: int
    intermediate: int
    """Width of the middle of a feed-forward layer; of a mixture that of all experts a token goes to."""
    key_value: int
    """Width of keys and values together."""
    vocabulary: int = 0

    @staticmethod
    def of(config: Any) -> Shape:
        """Read the config of a language model, or of a vision tower; their names differ."""

        def first(*names: str, default: int = 0) -> int:
            found = (getattr(config, name, None) for name in names)
            return next((int(value) for value in found if isinstance(value, int) and value), default)

        hidden = first("embed_dim", "hidden_size")
        heads = first("num_attention_heads", "num_heads", default=1)
        head = first("head_dim", default=hidden // heads)
        experts = first("num_experts_per_tok") * first("moe_intermediate_size")
        return Shape(
            layers=first("num_hidden_layers", "depth", default=1),
            hidden=hidden,
            intermediate=experts or first("intermediate_size", default=4 * hidden),
            key_value=2 * head * first("num_key_value_heads", default=heads),
            vocabulary=first("vocab_size"),
        )


@dataclass(frozen=True)
class Work:
    """What a step does with its longest rows."""

    prompt: int
    """``S``, tokens of the longest prompt."""
    completion: int
    """``T``, most tokens of a completion."""
    group: int = 1
    """``G``; 1 where answers are imitated."""
    prompts: int = 1
    """Of a micro-batch."""
    rows: int = 0
    """Most completions that are written at once; 0 where none are."""

    @property
    def trained_tokens(self) -> int:
        """Tokens of one micro-batch, each prompt once for its group."""
        return self.prompts * (self.prompt + self.group * self.completion)


def transient_bytes(
    text: Shape,
    tower: Shape | None,
    work: Work,
    width: int,
    checkpointing: bool,
    adapters: bool,
    gathered: int = 0,
) -> dict[str, int]:
    """Bytes that come and go, by what they are; training and sampling take turns, so the larger of both counts.

    Args:
        text: The language model.
        tower: The vision tower where it is trained, of which a prompt token is taken for four patches.
        work: What a step does.
        width: Bytes of a number in the precision of the pass.
        checkpointing: Whether activations are computed again.
        adapters: Whether layers have adapters in float32, which keep their input in it.
        gathered: Bytes of the other ranks' weights, which are here while completions are written.
    """
    training = {"activations": activation_bytes(text, work.trained_tokens, width, checkpointing, adapters)}
    if tower is not None:
        patches = 4 * work.prompts * work.prompt
        training["activations"] += activation_bytes(tower, patches, width, checkpointing, False)
    training["logits"] = 4 * CHUNK_BYTES["cuda"]  # in float32, its softmax and both gradients
    sampling = sampling_bytes(text, work, width) | ({"other ranks' weights": gathered} if gathered else {})
    return max((training, sampling), key=lambda terms: sum(terms.values()))


def activation_bytes(shape: Shape, tokens: int, width: int, checkpointing: bool, adapters: bool) -> int:
    """What a backward pass needs, after https://arxiv.org/abs/2205.05198 (sec. 4) without dropout and kept scores.

    A layer keeps the inputs of its products (norms twice, attention, output), keys and values and four times the middle
    of a gated feed-forward layer, and in float32 what both norms are computed from. With checkpointing one layer does
    at a time, and every layer keeps its input.
    """
    numbers = 6 * shape.hidden + shape.key_value + 4 * shape.intermediate
    layer = tokens * (width * numbers + 4 * 2 * shape.hidden)
    if adapters and width < 4:
        layer += tokens * 4 * (6 * shape.hidden + shape.intermediate)
    kept = tokens * width * shape.hidden
    return layer + shape.layers * kept if checkpointing else shape.layers * layer


def sampling_bytes(shape: Shape, work: Work, width: int) -> dict[str, int]:
    """Keys and values of all rows, their prompts once a group; the widest layer of the prompts; what is drawn from."""
    prompts = -(-work.rows // work.group)
    tokens = prompts * work.prompt
    return {
        "cache": width * shape.layers * shape.key_value * (tokens + work.rows * work.completion),
        "activations": tokens * width * (4 * shape.hidden + 3 * shape.intermediate),
        "logits": work.rows * shape.vocabulary * (4 + 4 + 8 + width),  # scaled, likely, cumulated in float64, raw
    }


def smallest_card(needed: int) -> int | None:
    """The smallest common card with that many bytes to spare; ``None`` where there is none.

    Example:
        >>> smallest_card(14 * 10**9), smallest_card(15 * 10**9), smallest_card(10**12)
        (16, 24, None)
    """
    return next((card for card in CARDS if card * 10**9 - CONTEXT >= needed), None)

"""What a policy that knows nothing really samples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from vrft_pl.policy.codec import Codec


@cache
def tokenizer() -> Any:
    """The tokenizer of the embedded policy: letters, words, bytes, and every special token."""
    return Codec("tiny").tokenizer


def sampled(chance: random.Random, gold: Sequence[str]) -> str:
    """Draw what a random policy writes: any tokens, any bytes, or an answer in which some tokens are others."""
    kind, count = chance.random(), chance.choice((1, 4, 16, 64))
    if kind < 0.3:
        # pieces of letters, as the tokens of a large vocabulary of bytes are
        return bytes(chance.choices(range(256), k=count)).decode("utf-8", "replace")
    words = tokenizer()
    ids = words(chance.choice(gold), add_special_tokens=False)["input_ids"] if kind < 0.7 else [0] * count
    rate = chance.choice((0.02, 0.1, 0.3)) if kind < 0.7 else 1.0
    ids = [chance.randrange(len(words)) if chance.random() < rate else token for token in ids]
    return str(words.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

"""Tokens with a meaning of their own: those that stand for media, and those that end a turn."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from transformers import PreTrainedConfig, ProcessorMixin

from vrft_pl.types import InputError

MEDIA_TOKEN = re.compile(
    r"(image|video|audio|vision|media|boi|eoi|img)\w*_(token|patch|col|start|end)_(id|index)$|^(boi|eoi)_token_(id|index)$"
)
"""Names under which configs and processors keep the tokens that stand for pictures, sound and film."""


def media_token_ids(config: PreTrainedConfig, processor: ProcessorMixin, ends: Collection[int]) -> list[int]:
    """Find the tokens that stand for media in a config, its parts and a processor.

    Args:
        config: The model's config.
        processor: Its processor.
        ends: Tokens that end a turn; they are left out, whatever they are called.
    """
    holders = [config, processor, *(getattr(config, name, None) for name in ("text_config", "vision_config"))]
    ids = {
        value
        for holder in holders
        if holder is not None
        for name, value in vars(holder).items()
        if MEDIA_TOKEN.search(name) and isinstance(value, int) and not isinstance(value, bool)
    }
    vocabulary = config.get_text_config().vocab_size
    return sorted(i for i in ids if 0 <= i < vocabulary and i not in ends)


def end_of_turn(processor: ProcessorMixin, checkpoint: str) -> list[int]:
    """Read the tokens that the chat template writes after the policy's answer, up to the first end token.

    Raises:
        InputError: If neither the template nor the tokeniser has one.
    """
    mark = "ANSWER"
    turns: list[Any] = [
        {"role": role, "content": [{"type": "text", "text": text}]}
        for role, text in (("user", "?"), ("assistant", mark))
    ]
    tokenizer: Any = processor.tokenizer
    text = processor.apply_chat_template(turns, tokenize=False)
    tail = tokenizer(text.rpartition(mark)[2].lstrip(), add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    end = next((i for i, token in enumerate(tail) if token in special), None)
    if end is not None:
        return tail[: end + 1]
    if tokenizer.eos_token_id is None:
        raise InputError(f"Expected `{checkpoint}` to have a token that ends a turn, but found none.")
    return [tokenizer.eos_token_id]

"""Tokens with a meaning of their own: those that stand for media, and those that end a turn."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedConfig, ProcessorMixin

from vrft_pl.policy.probes import CODE_ERRORS
from vrft_pl.types import InputError

MEDIA_TOKEN = re.compile(
    r"(image|video|audio|vision|visual|media|img)\w*_(token|patch|col|start|end|newline)_(ids?|index)$"
    r"|^(boi|eoi|boa|eoa|frame_start|frame_end|slice_start|slice_end)(_token)?_(id|index)$"
    r"|^(image|visual|video|audio)(_token)?_ids$|^im_(start|end|newline)_id$"
)
"""Names under which configs and processors keep the tokens that stand for pictures, sound and film."""


def media_token_ids(config: PreTrainedConfig, processor: ProcessorMixin, ends: Collection[int]) -> list[int]:
    """Find the tokens that stand for media in a config, its parts and a processor.

    Args:
        config: The model's config.
        processor: Its processor.
        ends: Tokens that end a turn; they are left out, whatever they are called.
    """
    ids = {
        i
        for holder in (processor, *_with_parts(config))
        for name, value in vars(holder).items()
        if MEDIA_TOKEN.search(name)
        for i in (value if isinstance(value, list | tuple) else [value])
        if isinstance(i, int) and not isinstance(i, bool)
    }
    vocabulary = config.get_text_config().vocab_size
    return sorted(i for i in ids if 0 <= i < vocabulary and i not in ends)


def _with_parts(config: PreTrainedConfig) -> Iterator[PreTrainedConfig]:
    """A config and all configs inside it."""
    yield config
    for value in vars(config).values():
        if isinstance(value, PreTrainedConfig):
            yield from _with_parts(value)


def control_tokens(tokenizer: Any) -> dict[int, str]:
    """Tokens that write no text, by their number; some processors shorten the tokenizer's own list of them."""
    known = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    return known | {i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.special}


def takes_system_as_text(processor: ProcessorMixin) -> bool:
    """Whether the chat template takes a system prompt for text, and writes a list of its parts as Python shows it."""
    turns: list[Any] = [
        {"role": role, "content": [{"type": "text", "text": text}]} for role, text in (("system", "S"), ("user", "?"))
    ]
    try:
        return "'type'" in processor.apply_chat_template(turns, tokenize=False)
    except (TemplateError, *CODE_ERRORS):  # one that takes no system prompt, or no question without a picture
        return False


def moves_pictures(processor: ProcessorMixin) -> bool:
    """Whether the chat template writes pictures before the text, wherever a question has them."""
    first, picture, last = {"type": "text", "text": "A"}, {"type": "image"}, {"type": "text", "text": "B"}
    ways = [first, picture, last], [picture, first, last]
    turns: list[Any] = [[{"role": "user", "content": parts}] for parts in ways]
    try:
        within, before = (processor.apply_chat_template(turn, tokenize=False) for turn in turns)
    except (TemplateError, *CODE_ERRORS):  # one that takes a question in another form
        return False
    return bool(within == before)


OPENED = re.compile(r"<think>\s*\Z")


def opened_thoughts(processor: ProcessorMixin) -> str:
    """What the chat template writes of the policy's own turn: the tag of thoughts, and blanks behind it; often nothing.

    The templates of models that always think end the prompt with it.
    """
    turns: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    try:
        asked, begun = (
            processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=begins)
            for begins in (False, True)
        )
    except (TemplateError, *CODE_ERRORS):  # one that takes no question without a picture
        return ""
    found = OPENED.search(begun.removeprefix(asked))
    return found[0] if found else ""


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
    try:
        text = processor.apply_chat_template(turns, tokenize=False)
    except (TemplateError, *CODE_ERRORS) as error:
        raise InputError(
            f"Expected the chat template of `{checkpoint}` to write a question and its answer, each with a list of "
            f"parts as its content, but it raises {type(error).__name__}: {error!s:.200}"
        ) from error
    after = text.rpartition(mark)[2] if mark in text else ""  # some write the question alone
    tail = tokenizer(after.lstrip(), add_special_tokens=False)["input_ids"]
    special = control_tokens(tokenizer)
    end = next((i for i, token in enumerate(tail) if token in special), None)
    if end is not None:
        return tail[: end + 1]
    if tokenizer.eos_token_id is None:
        raise InputError(f"Expected `{checkpoint}` to have a token that ends a turn, but found none.")
    return [tokenizer.eos_token_id]

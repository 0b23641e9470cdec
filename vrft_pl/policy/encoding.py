"""From Samples to tokens and pictures, each prompt alone and without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from PIL import Image
from torch import Tensor

from vrft_pl.answers import AnswerFrame
from vrft_pl.policy.coordinates import DESCRIPTIONS, CoordinateSpace, answer_frame
from vrft_pl.policy.tokens import control_tokens, moves_pictures, takes_system_as_text
from vrft_pl.prompts import MARKER, chat, target_text
from vrft_pl.types import Completions, InputError, Prompt, Prompts, Sample


def encode_prompt(
    processor: Any, sample: Sample, coordinates: CoordinateSpace, asked: Mapping[str, Any] = MappingProxyType({})
) -> Prompt:
    """Write, tokenise and picture-process one question.

    Every tensor that the processor returns but ``labels`` is kept.

    Args:
        processor: The policy's.
        sample: The question.
        coordinates: How the policy writes coordinates.
        asked: What else the processor is asked for.

    Raises:
        InputError: If the sample's text holds control tokens, or a picture can't be opened.
    """
    refuse_special_tokens(processor, sample, *asked_texts(sample))
    tensors, images = process(processor, [sample], coordinates, asked)
    frame = answer_frame(coordinates, images[0].size, resized(processor, tensors)) if images else None
    return Prompt(tensors, frame, sample=sample)


def conversation(processor: Any, sample: Sample, coordinates: CoordinateSpace) -> list[dict[str, Any]]:
    """The conversation of `chat`, with the system prompt in the form that the chat template reads."""
    turns = chat(sample, DESCRIPTIONS[coordinates])
    kinds = [part["type"] for part in turns[-1]["content"]]
    if kinds != sorted(kinds):  # a picture behind a text
        _tell_of_moved_pictures(processor)
    if sample.system and _system_is_text(processor):
        turns[0] = {"role": "system", "content": sample.system}
    return turns


def unexpanded(processor: Any, sample: Sample, coordinates: CoordinateSpace) -> list[int]:
    """Tokens of a question as they are before a processor makes room for its pictures: one placeholder a picture."""
    text = processor.apply_chat_template(
        conversation(processor, sample, coordinates), tokenize=False, add_generation_prompt=True
    )
    begins = processor.tokenizer.bos_token
    # as processors do it: a template that writes the first token itself would get it twice
    special = begins is None or not text.startswith(begins)
    ids: list[int] = processor.tokenizer(text, add_special_tokens=special)["input_ids"]
    return ids


def process(
    processor: Any,
    samples: Sequence[Sample],
    coordinates: CoordinateSpace,
    asked: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Tensor], list[Image.Image]]:
    """Hand questions to a processor.

    Args:
        processor: The policy's.
        samples: The questions; of several, tokens are padded on the left.
        coordinates: How the policy writes coordinates.
        asked: What else the processor is asked for.

    Returns:
        Every tensor of the processor but ``labels``, and the pictures as they were opened.

    Raises:
        InputError: If a picture can't be opened.
    """
    chats, images = [], []
    for sample in samples:
        chats.append(conversation(processor, sample, coordinates))
        slots = (part for part in chats[-1][-1]["content"] if part["type"] == "image")
        for slot, image in zip(slots, sample.images, strict=True):
            slot["image"] = image.open()
            images.append(slot["image"])
    wanted = {**asked, "padding": True, "padding_side": "left"} if len(samples) > 1 else dict(asked)
    inputs = processor.apply_chat_template(
        chats,
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs=wanted,
    )
    # with labels, which some processors add, the model would compute a loss of its own
    return {key: value for key, value in inputs.items() if isinstance(value, Tensor) and key != "labels"}, images


def encode_targets(
    processor: Any,
    samples: Sequence[Sample],
    prompts: Prompts,
    end_of_turn: list[int],
    pad_token_id: int,
    opened: str = "",
) -> Completions:
    """Tokenise the answers that supervised training imitates.

    Args:
        processor: The policy's.
        samples: Length ``P``.
        prompts: Length ``P``.
        end_of_turn: Tokens that close each answer.
        pad_token_id: What shorter answers are padded with.
        opened: What the prompt writes of the turn already; see `continued`.

    Raises:
        InputError: If a sample's text holds control tokens, or lacks what its style needs.
    """
    frames = tuple(prompt.frame for prompt in prompts)
    texts = tuple(target_text(sample, frame) for sample, frame in zip(samples, frames, strict=True))
    for sample, text in zip(samples, texts, strict=True):
        refuse_special_tokens(processor, sample, text)
    rest = [continued(text, opened) for text in texts]
    texts = tuple(opened + text for text in rest)
    rows = [processor.tokenizer(text, add_special_tokens=False)["input_ids"] + end_of_turn for text in rest]
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad_token_id] * (width - len(row)) for row in rows])
    mask = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
    return Completions(ids, mask, None, texts, tuple("stop" for _ in rows), frames)


def continued(text: str, opened: str) -> str:
    r"""What is left to write of a turn whose tag of thoughts the prompt opens; a turn without any closes it at once.

    Args:
        text: The whole turn.
        opened: See `vrft_pl.policy.tokens.opened_thoughts`.

    Example:
        >>> continued("<think>1, 2.</think>3", "<think>\n"), continued("3", "<think>\n"), continued("3", "")
        ('1, 2.</think>3', '\n</think>\n\n3', '3')
    """
    tag = opened.strip()
    if not tag:
        return text
    if text.startswith(tag):
        rest = text.removeprefix(tag)
        return rest.lstrip() if opened[-1].isspace() else rest
    return ("" if opened.endswith("\n") else "\n") + f"\n</{tag[1:]}\n\n{text}"


def check_target(processor: Any, sample: Sample) -> None:
    """Raise `InputError` for a sample whose question or target can't be written. Opens no picture."""
    # any will do: only the digits of an answer depend on it
    frame = AnswerFrame(1, 1, 1.0, 1.0) if sample.images else None
    refuse_special_tokens(processor, sample, *asked_texts(sample), target_text(sample, frame))


def asked_texts(sample: Sample) -> tuple[str, ...]:
    """What a sample's own words ask, without the markers of its pictures, which some tokenizers know."""
    return (*sample.problem.split(MARKER), sample.system or "")


def refuse_special_tokens(processor: Any, sample: Sample, *texts: str) -> None:
    """Raise `InputError` for data that writes control tokens: it would break the chat or count as a picture."""
    for token in _control_tokens(processor.tokenizer):
        if any(token in text for text in texts):
            raise InputError(f"{sample.id}: expected text without control tokens, but it holds {token!r}.")


@lru_cache(maxsize=8)
def _system_is_text(processor: Any) -> bool:
    return takes_system_as_text(processor)


@lru_cache(maxsize=8)
def _tell_of_moved_pictures(processor: Any) -> None:
    if moves_pictures(processor):
        rank_zero_warn(
            f"The chat template of this checkpoint writes pictures before the text, wherever `{MARKER}` stands in a "
            "question. Say in words which picture is meant, or write a `chat_template.jinja` that keeps their places."
        )


@lru_cache(maxsize=8)
def _control_tokens(tokenizer: Any) -> tuple[str, ...]:
    return tuple(control_tokens(tokenizer).values())


def check_stretches(processor: Any) -> None:
    """Raise `InputError` where pictures are padded, and not stretched, to whole patches: `resized` is then no size."""
    white = Image.new("RGB", (91, 67), "white")
    patches = processor.image_processor(images=[white], return_tensors="pt").get("pixel_values")
    if isinstance(patches, Tensor) and not torch.equal(patches, patches[:1].expand_as(patches)):
        raise InputError(
            f"Expected `coordinates: resized_pixels` with a processor that stretches pictures, but "
            f"{type(processor).__name__} pads them. Use `permille`."
        )


def resized(processor: Any, inputs: dict[str, Tensor]) -> tuple[int, int] | None:
    """Width and height of the first picture after the processor's resize, in pixels; ``None`` if it does not say."""
    grid, patch = inputs.get("image_grid_thw"), getattr(processor.image_processor, "patch_size", None)
    if grid is None or not isinstance(patch, int):
        return None
    return int(grid[0, 2]) * patch, int(grid[0, 1]) * patch

"""From Samples to tokens and pictures, each prompt alone and without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vrft_pl.answers import AnswerFrame
from vrft_pl.policy.coordinates import DESCRIPTIONS, CoordinateSpace, answer_frame
from vrft_pl.prompts import chat, target_text
from vrft_pl.types import Completions, InputError, Prompt, Prompts, Sample


def encode_prompt(processor: Any, sample: Sample, coordinates: CoordinateSpace) -> Prompt:
    """Write, tokenise and picture-process one question.

    Every tensor that the processor returns but ``labels`` is kept.

    Args:
        processor: The policy's.
        sample: The question.
        coordinates: How the policy writes coordinates.

    Raises:
        InputError: If the sample's text holds control tokens, or a picture can't be opened.
    """
    images = [image.open() for image in sample.images]
    refuse_special_tokens(processor, sample, sample.problem, sample.system or "")
    messages = chat(sample, DESCRIPTIONS[coordinates])
    slots = (part for message in messages for part in message["content"] if part["type"] == "image")
    for slot, image in zip(slots, images, strict=True):
        slot["image"] = image
    inputs = processor.apply_chat_template(
        [messages], tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    # with labels, which some processors add, the model would compute a loss of its own
    tensors = {key: value for key, value in inputs.items() if isinstance(value, Tensor) and key != "labels"}
    frame = answer_frame(coordinates, images[0].size, resized(processor, tensors)) if images else None
    return Prompt(tensors, frame)


def encode_targets(
    processor: Any, samples: Sequence[Sample], prompts: Prompts, end_of_turn: list[int], pad_token_id: int
) -> Completions:
    """Tokenise the answers that supervised training imitates.

    Args:
        processor: The policy's.
        samples: Length ``P``.
        prompts: Length ``P``.
        end_of_turn: Tokens that close each answer.
        pad_token_id: What shorter answers are padded with.

    Raises:
        InputError: If a sample's text holds control tokens, or lacks what its style needs.
    """
    frames = tuple(prompt.frame for prompt in prompts)
    texts = tuple(target_text(sample, frame) for sample, frame in zip(samples, frames, strict=True))
    for sample, text in zip(samples, texts, strict=True):
        refuse_special_tokens(processor, sample, text)
    rows = [processor.tokenizer(text, add_special_tokens=False)["input_ids"] + end_of_turn for text in texts]
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad_token_id] * (width - len(row)) for row in rows])
    mask = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
    return Completions(ids, mask, None, texts, tuple("stop" for _ in rows), frames)


def check_target(processor: Any, sample: Sample) -> None:
    """Raise `InputError` for a sample whose question or target can't be written. Opens no picture."""
    # any will do: only the digits of an answer depend on it
    frame = AnswerFrame(1, 1, 1.0, 1.0) if sample.images else None
    refuse_special_tokens(processor, sample, sample.problem, sample.system or "", target_text(sample, frame))


def refuse_special_tokens(processor: Any, sample: Sample, *texts: str) -> None:
    """Raise `InputError` for data that writes control tokens: it would break the chat or count as a picture."""
    for token in processor.tokenizer.all_special_tokens:
        if any(token in text for text in texts):
            raise InputError(f"{sample.id}: expected text without control tokens, but it holds {token!r}.")


def resized(processor: Any, inputs: dict[str, Tensor]) -> tuple[int, int] | None:
    """Width and height of the first picture after the processor's resize, in pixels; ``None`` if it does not say."""
    grid, patch = inputs.get("image_grid_thw"), getattr(processor.image_processor, "patch_size", None)
    if grid is None or not isinstance(patch, int):
        return None
    return int(grid[0, 2]) * patch, int(grid[0, 1]) * patch

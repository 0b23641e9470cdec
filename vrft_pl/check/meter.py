"""Tokens of prompts, without encoding each picture."""

from __future__ import annotations

from typing import NamedTuple

from vrft_pl.answers import AnswerFrame
from vrft_pl.check.rows import Row, Size
from vrft_pl.policy import VLM
from vrft_pl.policy.coordinates import answer_frame
from vrft_pl.policy.encoding import asked_texts, conversation, encode_prompt, refuse_special_tokens
from vrft_pl.types import InputError, Sample


class Measured(NamedTuple):
    """A prompt as the policy would see it."""

    num_tokens: int
    """``S``, image tokens included."""
    frame: AnswerFrame | None
    """How to write coordinates in the answer."""
    resized: tuple[Size, ...]
    """Sizes of the pictures after the processor's resize; empty where it does not say."""


class _Pictures(NamedTuple):
    num_tokens: int
    """More than the tokens of the text with one placeholder for each picture."""
    resized: tuple[Size, ...]


class PromptMeter:
    """Counts the tokens of prompts.

    What the pictures add depends on their sizes alone, so one row of each size is encoded and the others are only
    written and tokenised.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: VLM) -> None:
        self.policy = policy
        self._known: dict[tuple[Size, ...], _Pictures] = {}
        self._measured: dict[int, Measured] = {}

    def measure(self, row: Row) -> Measured:
        """Measure the prompt of a good row.

        Raises:
            InputError: If the processor refuses its picture or its text.
        """
        if id(row) not in self._measured:
            assert row.sample is not None
            self._measured[id(row)] = self._measure(row.sample, row.sizes)
        return self._measured[id(row)]

    def _measure(self, sample: Sample, sizes: tuple[Size, ...]) -> Measured:
        processor, space = self.policy.codec.processor, self.policy.codec.coordinates
        refuse_special_tokens(processor, sample, *asked_texts(sample))
        text = processor.apply_chat_template(
            [conversation(processor, sample, space)], tokenize=False, add_generation_prompt=True
        )
        written = len(self.policy.codec.tokenizer(text[0], add_special_tokens=False)["input_ids"])
        if sizes not in self._known:
            self._known[sizes] = self._see(sample, written)
        pictures = self._known[sizes]
        frame = answer_frame(space, sizes[0], next(iter(pictures.resized), None)) if sizes else None
        return Measured(written + pictures.num_tokens, frame, pictures.resized)

    def _see(self, sample: Sample, written: int) -> _Pictures:
        """Encode a prompt whole."""
        try:
            prompt = encode_prompt(self.policy.codec.processor, sample, self.policy.codec.coordinates)
        except InputError:
            raise
        except ValueError as error:  # such as an aspect ratio that the processor can't resize
            raise InputError(f"{sample.id}: the processor refuses its picture: {error}.") from error
        grid = prompt.inputs.get("image_grid_thw")
        patch = getattr(self.policy.codec.processor.image_processor, "patch_size", None)
        sizes = (
            [] if grid is None or not isinstance(patch, int) else [(w * patch, h * patch) for _, h, w in grid.tolist()]
        )
        return _Pictures(prompt.num_tokens - written, tuple(sizes))

"""Everything about text, tokens, pictures and coordinates that needs no weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from torch import Tensor

from vrft_pl.policy.checkpoint import read_coordinates
from vrft_pl.policy.coordinates import CoordinateSpace
from vrft_pl.policy.encoding import check_stretches, encode_prompt, encode_targets, process, unexpanded
from vrft_pl.policy.joining import Joint, learn_joints
from vrft_pl.policy.loading import check_decoder_only, load_configs, load_processor, model_arguments
from vrft_pl.policy.probes import CODE_ERRORS, PICTURED
from vrft_pl.policy.tokens import end_of_turn, media_token_ids, opened_thoughts
from vrft_pl.types import Completions, InputError, Prompt, Prompts, Sample


class Codec:
    """From samples to tokens and pictures, and from tokens to text, as a checkpoint's processor has it.

    Args:
        checkpoint: Folder or hub id of an image-text-to-text model; ``tiny`` is the one embedded in the package.
        coordinates: How the policy writes coordinates. Defaults to what an exported folder says, else ``permille``.
        min_pixels: Fewest pixels of a picture after the processor's resize. Defaults to the processor's own limit.
        max_pixels: Most pixels of a picture after the processor's resize, likewise.
        revision: Commit, tag or branch of a hub id.

    Raises:
        InputError: If processor or config can't be loaded, or there is no chat template.
    """

    def __init__(
        self,
        checkpoint: str,
        coordinates: CoordinateSpace | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        revision: str | None = None,
    ) -> None:
        self.processor: Any = load_processor(checkpoint, min_pixels, max_pixels, revision)
        self.coordinates: CoordinateSpace = coordinates or read_coordinates(checkpoint, revision)
        self.config, generation = load_configs(checkpoint, revision)
        check_decoder_only(checkpoint, self.config)
        # not every processor makes by itself what its model asks for
        types = "mm_token_type_ids" in model_arguments(self.config)
        self.asked = {"return_mm_token_type_ids": True} if types else {}
        if self.coordinates == "resized_pixels":
            check_stretches(self.processor)
        self.end_of_turn = tuple(end_of_turn(self.processor, checkpoint))
        self.opened = opened_thoughts(self.processor)
        """What the chat template writes of the policy's turn; it counts as written."""
        configured = generation.eos_token_id
        ends = [*(configured if isinstance(configured, list) else [configured]), self.tokenizer.eos_token_id]
        self.end_token_ids: tuple[int, ...] = tuple(
            dict.fromkeys(i for i in (*ends, self.end_of_turn[-1]) if i is not None)
        )
        """Every token that ends the policy's turn: the generation config's, the tokenizer's and the chat template's."""
        self.banned_token_ids = tuple(media_token_ids(self.config, self.processor, self.end_token_ids))
        """Tokens that stand for media: a completion that holds one could not be read back by the model."""
        pad = self.tokenizer.pad_token_id
        self.pad_token_id: int = self.end_token_ids[0] if pad in (None, *self.banned_token_ids) else pad
        """The tokenizer's padding token, or an end token where it has none or one that stands for media."""
        # where the prompt sees itself in both directions, type 0 is the prompt and type 1 what follows
        self.token_type = int(bool(getattr(self.text_config, "use_bidirectional_attention", False)))

    @property
    def context(self) -> int | None:
        """Tokens that the language model takes at once, question and completion together; ``None`` where none says.

        Nothing is said where rotary positions stretch with the text (``dynamic``).
        """
        rope = getattr(self.text_config, "rope_parameters", None)
        if isinstance(rope, dict) and rope.get("rope_type") == "dynamic":
            return None
        most = getattr(self.text_config, "max_position_embeddings", None)
        return most if isinstance(most, int) and most > 0 else None

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def text_config(self) -> Any:
        """The config of the language model."""
        return self.config.get_text_config()

    @cached_property
    def joints(self) -> dict[str, Joint]:
        """How the processor joins what it makes of several prompts where it is not one after the other."""
        try:
            alone = [process(self.processor, [one], self.coordinates, self.asked)[0] for one in PICTURED]
            together, _ = process(self.processor, PICTURED, self.coordinates, self.asked)
        except CODE_ERRORS:  # it takes one prompt at a time; what is wrong with that shows when prompts are compared
            return {}
        return learn_joints(alone, together)

    def encode(self, samples: Sequence[Sample]) -> Prompts:
        """Write, tokenise and picture-process each question, without padding.

        Every tensor that the processor returns but ``labels`` is kept and handed to the model.

        Raises:
            InputError: If the processor or its chat template can't take a sample, such as one without a picture.
        """
        return Prompts(tuple(map(self._encode, samples)))

    def _encode(self, sample: Sample) -> Prompt:
        try:
            prompt = encode_prompt(self.processor, sample, self.coordinates, self.asked)
            if self.context is not None and prompt.num_tokens >= self.context:
                raise InputError(
                    f"{sample.id}: expected a question of fewer than the {self.context:,} tokens that the policy takes "
                    f"with its answer, but got {prompt.num_tokens:,}. Shorten it, or lower `max_pixels`."
                )
            return prompt
        except InputError:
            raise
        except (TemplateError, *CODE_ERRORS) as error:
            name, sizes = type(self.processor).__name__, [image.open().size for image in sample.images]
            of = f" about pictures of {', '.join(f'{w} x {h}' for w, h in sizes)} pixels" if sizes else ""
            raise InputError(
                f"{sample.id}: expected a question{of} that {name} encodes, but got {error!s:.200}"
            ) from error

    def unexpanded(self, sample: Sample) -> list[int]:
        """Tokens of a question with one placeholder a picture, for an engine that has a processor of its own."""
        return unexpanded(self.processor, sample, self.coordinates)

    def encode_targets(self, samples: Sequence[Sample], prompts: Prompts) -> Completions:
        """Tokenise the answers that supervised training imitates, each closed by the template's own end of turn."""
        return encode_targets(self.processor, samples, prompts, list(self.end_of_turn), self.pad_token_id, self.opened)

    def decode(self, ids: Tensor, mask: Tensor) -> tuple[str, ...]:
        """Turn completion tokens into text without the end token; other special tokens stay visible.

        Thoughts that the chat template opens begin with their tag, as if the policy had written it.
        """
        ends = set(self.end_token_ids)
        rows = [[t for t in row[keep].tolist() if t not in ends] for row, keep in zip(ids, mask, strict=True)]
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return tuple(self.opened + text for text in texts)

"""Any image-text-to-text checkpoint as a policy: encode, log-probs, adapters, export."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn
from transformers.utils import ModelOutput

from vrft_pl.distributed import rank, spread, whole_weights
from vrft_pl.policy import checkpoint as folders
from vrft_pl.policy.adapters import export_adapter
from vrft_pl.policy.anatomy import Part
from vrft_pl.policy.attention import SDPA_LAYOUT, install_layouts, own_attention
from vrft_pl.policy.batching import append_tokens, collate, in_precision, kept
from vrft_pl.policy.codec import Codec
from vrft_pl.policy.company import lacks_pictures, with_picture, without_picture
from vrft_pl.policy.comparisons import prompt_by_prompt
from vrft_pl.policy.coordinates import CoordinateSpace
from vrft_pl.policy.features import given_features, image_features, join_features
from vrft_pl.policy.logprobs import TokenLogprobs, is_plain_head, logprobs_of_hidden, logprobs_of_logits
from vrft_pl.policy.packed_rows import PackedRows, pack_batch
from vrft_pl.policy.parts import LoRA, is_adapted, rebuild
from vrft_pl.policy.quantized import dequantized_state, quantized_weights
from vrft_pl.policy.shared_prefix import GroupRows
from vrft_pl.policy.verdicts import SharedPrefix, Verdict, Verdicts, Way, check_mode
from vrft_pl.policy.weights import WeightHolder, Weights, single_precision_default
from vrft_pl.types import Completions, InputError, Prompt, Prompts, Sample


class VLM(WeightHolder):
    """A vision-language model: a `Codec` and weights, which `load` makes.

    Args:
        checkpoint: Folder or hub id of an image-text-to-text model; ``tiny`` is the one embedded in the package.
        dtype: Type of the weights; ``auto`` is that of the checkpoint.
        attention: Attention implementation, such as ``sdpa`` or ``flash_attention_2``. Defaults to the model's choice.
        coordinates: How the policy writes coordinates. Defaults to what an exported folder says, else ``permille``.
        min_pixels: Fewest pixels of a picture after the processor's resize. Defaults to the processor's own limit.
        max_pixels: Most pixels of a picture after the processor's resize, likewise.
        lora: Train low-rank adapters instead of the weights.
        freeze: Parts that are not trained.
        freeze_pattern: Regular expression; parameters whose name matches it are not trained.
        gradient_checkpointing: Trade time for memory in the backward pass.
        shared_prefix: Compute each prompt once for all of its completions; ``auto`` does so where a comparison with
            the plain forward at the first batch finds no difference, and warns where it can't.
        revision: Commit, tag or branch of a hub id. Defaults to the newest commit of its main branch, which may be
            another one tomorrow.

    Raises:
        InputError: If processor or config can't be loaded, or there is no chat template.
        ValueError: If ``shared_prefix`` is none of its values.
    """

    PASSES = ("plain_logprobs", "shared_logprobs", "packed_logprobs", "untouched_logprobs")
    """Methods that run the model beside ``forward``."""

    def __init__(
        self,
        checkpoint: str = "tiny",
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        attention: str | None = None,
        coordinates: CoordinateSpace | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        lora: LoRA | None = None,
        freeze: tuple[Part, ...] = (),
        freeze_pattern: str | None = None,
        gradient_checkpointing: bool = False,
        shared_prefix: SharedPrefix = "auto",
        revision: str | None = None,
    ) -> None:
        check_mode(shared_prefix)
        super().__init__(
            Weights(checkpoint, dtype, attention, lora, tuple(freeze), freeze_pattern, gradient_checkpointing, revision)
        )
        self.codec = Codec(checkpoint, coordinates, min_pixels, max_pixels, revision)
        self.shared_prefix, self.min_pixels, self.max_pixels = shared_prefix, min_pixels, max_pixels
        self.verdicts: Verdicts | None = None
        self.untaken: set[int] = set()
        """Numbers of pictures of a question that the model does not take: 0, or 2 for several."""
        self._head_is_last: bool | None = None
        self._banned: Tensor
        banned = torch.tensor(self.codec.banned_token_ids, dtype=torch.long)
        self.register_buffer("_banned", banned, persistent=False)

    def made_with(self) -> dict[str, Any]:
        """Arguments that are not kept under their names."""
        return {**vars(self.weights), "coordinates": self.codec.coordinates}

    def load(self) -> Self:
        """Make the weights, once; Lightning asks for them where the strategy can place them.

        Raises:
            InputError: If they can't be loaded, something to freeze or adapt does not exist, or prompts can't be shared
                and ``shared_prefix`` is ``True``.
        """
        if self.model is None:
            super().load()
            architecture, obstacle = type(self.hf_model).__name__, install_layouts(self.hf_model)
            self.verdicts = Verdicts(architecture, self.shared_prefix, obstacle)
        return self

    def spread(self, strategy: Strategy) -> None:
        """Spread the weights over ranks, once, where a strategy leaves that to us."""
        spread(self, strategy, self.PASSES)

    def may(self, way: Way) -> bool:
        """Whether a faster way may be taken; see `Verdicts`. It is compared with the plain one when it is asked first.

        Raises:
            InputError: If the plain way is not the model's own.
        """
        assert self.verdicts is not None, "the weights are not loaded"
        verdict: Verdict = getattr(self.verdicts, way)
        return verdict.allowed(self)

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """See `Codec`."""
        return self.codec.end_token_ids

    @property
    def pad_token_id(self) -> int:
        """See `Codec`."""
        return self.codec.pad_token_id

    @property
    def banned_token_ids(self) -> tuple[int, ...]:
        """See `Codec`."""
        return self.codec.banned_token_ids

    def encode(self, samples: Sequence[Sample]) -> Prompts:
        """Encode samples where the weights are, and in their precision; see `Codec`.

        Raises:
            InputError: Also if a question has no picture or several, and the model was seen not to take that.
        """
        for sample in samples:
            if min(len(sample.images), 2) in self.untaken:
                name, number = type(self.hf_model).__name__, len(sample.images)
                raise InputError(f"{sample.id}: expected one picture, which is all {name} takes, but got {number}.")
        prompts, dtype = self.codec.encode(samples).to(self.device), self.hf_model.dtype
        for sample, prompt in zip(samples, prompts, strict=True):
            self._check_ids(sample, prompt.inputs["input_ids"])
        return Prompts(tuple(replace(prompt, inputs=in_precision(prompt.inputs, dtype)) for prompt in prompts))

    def encode_targets(self, samples: Sequence[Sample], prompts: Prompts) -> Completions:
        """Encode the answers that supervised training imitates; see `Codec`."""
        targets = self.codec.encode_targets(samples, prompts).to(self.device)
        for sample, ids in zip(samples, targets.ids, strict=True):
            self._check_ids(sample, ids)
        return targets

    def _check_ids(self, sample: Sample, ids: Tensor) -> None:
        """Raise `InputError` for a token that the model has no embedding of."""
        rows = getattr(self.hf_model.get_input_embeddings(), "num_embeddings", None)
        if rows is not None and (last := int(ids.max())) >= rows:
            token = self.codec.tokenizer.convert_ids_to_tokens(last)
            raise InputError(
                f"{sample.id}: expected tokens that the model has an embedding of, but {token!r} is number {last} of "
                f"{rows:,}. Enlarge the model by `resize_token_embeddings`, or use the tokenizer that belongs to it."
            )

    def decode(self, ids: Tensor, mask: Tensor) -> tuple[str, ...]:
        """Turn completion tokens into text; see `Codec`."""
        return self.codec.decode(ids, mask)

    def look(self, prompts: Prompts) -> Prompts:
        """Compute what the vision tower sees, once for every later use; the same prompts where it is still trained."""
        # ranks with other prompts would not gather the tower's weights together
        if not self.sees_alike or self.is_spread or not self.may("feature_reuse"):
            return prompts
        return self.with_features(prompts)

    def with_features(self, prompts: Prompts) -> Prompts:
        """Compute what the vision tower sees, whether or not that may be reused."""
        with self.evaluating():
            return Prompts(tuple(self._look(prompt) for prompt in prompts))

    def _look(self, prompt: Prompt) -> Prompt:
        if prompt.frame is None:
            return prompt
        with single_precision_default():
            return replace(prompt, features=image_features(self.hf_model, prompt.inputs))

    def batch(self, prompts: Prompts, copies: int = 1) -> tuple[dict[str, Any], Tensor]:
        """Batch prompts for the model, padded on the left.

        Args:
            prompts: ``P`` prompts.
            copies: Rows of each prompt, beside each other.

        Returns:
            Inputs of `forward`, and the position of each token on every axis the model has: the last dimension is
            ``S``, the one before it the rows, ``P * copies``.
        """
        model: Any = self.hf_model
        inputs = self._collate(prompts)
        # of each prompt once: not every model counts the pictures of a row apart from those of the rows before it
        positions = model._prepare_position_ids_for_generation(inputs["input_ids"], dict(inputs))
        if copies > 1:
            prompts, positions = prompts.repeat_interleave(copies), positions.repeat_interleave(copies, dim=-2)
            inputs = self._collate(prompts)
        seen = [prompt.features for prompt in prompts if prompt.frame is not None]
        if seen and all(one is not None for one in seen) and (joined := join_features(seen)) is not None:
            inputs["image_features"] = joined
        return inputs, positions

    def _collate(self, prompts: Prompts) -> dict[str, Any]:
        """Join prompts as their processor does; of one there is nothing to learn."""
        return dict(collate(prompts, self.pad_token_id, self.codec.joints if len(prompts) > 1 else {}))

    def _append(self, inputs: dict[str, Any], ids: Tensor, mask: Tensor | None, width: int) -> dict[str, Any]:
        """Append tokens to a batch of prompts of that width; see `append_tokens`."""
        return append_tokens(inputs, ids, mask, width, self.codec.token_type, self.codec.joints)

    def forward(self, image_features: ModelOutput | None = None, **inputs: Any) -> Any:
        """Call the transformers model, with features of its pictures if there are any."""
        with single_precision_default(), given_features(self.hf_model, image_features):
            return self.model(**inputs)  # type: ignore[misc]  # there, for `hf_model` is

    @contextmanager
    def whole_vocabulary(self) -> Iterator[None]:
        """Let log-probs be those of a softmax over every token, media tokens too, as transformers' own loss has it.

        What is sampled never holds a media token; given targets don't either, but a model may expect one.
        """
        banned, self._banned = self._banned, self._banned[:0]
        try:
            yield
        finally:
            self._banned = banned

    def scale(self, logits: Tensor, temperature: float) -> Tensor:
        """Logits of the distribution that is sampled from and trained: media tokens out, divided by the temperature."""
        logits = logits.float()
        if self._banned.numel():
            logits = logits.index_fill(-1, self._banned, float("-inf"))
        return logits / temperature if temperature != 1 else logits

    def logprobs(self, prompts: Prompts, completions: Completions, temperature: float = 1.0) -> TokenLogprobs:
        """Log-probability of each completion token.

        The prompt of a group is computed once where `sharing` allows it. Logits exist at completion tokens only, and a
        chunk of them at a time where the output layer is a plain matrix that lies whole on this device.

        Args:
            prompts: ``P`` prompts.
            completions: ``N = P * G`` completions, those of one prompt beside each other.
            temperature: Of the sampling distribution.
        """
        if not lacks_pictures(self, prompts):
            return self._logprobs(prompts, completions, temperature)
        seen = self._logprobs(*with_picture(self, prompts, completions), temperature)
        return without_picture(seen, len(completions))

    def _logprobs(self, prompts: Prompts, completions: Completions, temperature: float) -> TokenLogprobs:
        """The same as `logprobs`, of these prompts and no other."""
        if not self.may("batching") and len(prompts) > 1:
            return prompt_by_prompt(partial(self._logprobs, temperature=temperature), prompts, completions)
        if len(completions) > len(prompts) and self.may("sharing"):
            return self.shared_logprobs(prompts, completions, temperature)
        return self.plain_logprobs(prompts, completions, temperature)

    def shared_logprobs(self, prompts: Prompts, completions: Completions, temperature: float = 1.0) -> TokenLogprobs:
        """The same as `logprobs`, one row a group."""
        inputs, positions = self.batch(prompts)
        rows = GroupRows.of(inputs["attention_mask"], completions.mask)
        ids = rows.pack(completions.ids, self.pad_token_id)
        inputs = self._append(inputs, ids, None, rows.num_prompt_tokens)
        inputs |= {"attention_mask": self.group_mask(rows), "position_ids": rows.positions(positions)}
        return self._score(inputs, rows.num_columns + 1, *rows.predictors(completions.mask), completions, temperature)

    def plain_logprobs(self, prompts: Prompts, completions: Completions, temperature: float = 1.0) -> TokenLogprobs:
        """The same as `logprobs`, one row a completion, the prompt repeated."""
        inputs, positions = self.batch(prompts, len(completions) // len(prompts))
        ids, mask = completions.ids, completions.mask
        steps = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        positions = torch.cat([positions, positions[..., -1:] + steps], dim=-1)
        inputs = self._append(inputs, ids, mask, inputs["input_ids"].shape[1])
        inputs |= {"position_ids": positions}
        row, column = mask.nonzero(as_tuple=True)
        return self._score(inputs, ids.shape[1] + 1, row, column, completions, temperature)

    def untouched_logprobs(self, prompts: Prompts, completions: Completions) -> TokenLogprobs:
        """The same as `logprobs` of one completion of one prompt, as the model computes it by itself.

        There is no padding and no cache; attention, positions and the choice of columns are the model's own.
        """
        (prompt,), ids = prompts, completions.ids[completions.mask][None]
        inputs = self._append(dict(prompt.inputs), ids, torch.ones_like(ids), prompt.num_tokens)
        with own_attention(self.hf_model):
            logits = self(**inputs, use_cache=False).logits[:, -ids.shape[1] - 1 : -1]
        return logprobs_of_logits(self.scale(logits, 1.0), ids)

    def packed_logprobs(self, prompts: Prompts, completions: Completions, pack_tokens: int) -> TokenLogprobs:
        """The same as `logprobs` of one completion a prompt, in rows of several samples; see `PackedRows`."""
        if lacks_pictures(self, prompts):
            return without_picture(
                self.packed_logprobs(*with_picture(self, prompts, completions), pack_tokens), len(completions)
            )
        rows = PackedRows.of(prompts, completions.mask, pack_tokens)
        batch = self.batch(prompts.select(rows.order))
        inputs = pack_batch(rows, *batch, completions, self.pad_token_id, self.codec.token_type)
        row, column = rows.predictors(completions.mask)
        keep, column = column.unique(return_inverse=True)
        return self._score(inputs | {"attention_mask": self.group_mask(rows)}, keep, row, column, completions, 1.0)

    @property
    def understands_layouts(self) -> bool:
        """Whether attention is computed as a layout says; otherwise it knows masks only."""
        return self.hf_model.config.get_text_config()._attn_implementation == SDPA_LAYOUT

    def group_mask(self, rows: GroupRows | PackedRows) -> Any:
        """The mask of rows of groups or samples, for the attention that this model has."""
        flex = self.hf_model.config.get_text_config()._attn_implementation == "flex_attention"
        return rows.block_mask() if flex else rows.layout_mask()

    def _score(
        self,
        inputs: dict[str, Any],
        keep: int | Tensor,
        row: Tensor,
        column: Tensor,
        completions: Completions,
        temperature: float,
    ) -> TokenLogprobs:
        """Run the model and read the log-probs of completion tokens.

        Args:
            inputs: Of the model.
            keep: Columns that are wanted: how many at the end of each row, or which.
            row: Where each completion token is predicted. Shape ``(M,)``.
            column: Likewise, counted from the first column kept. Shape ``(M,)``.
            completions: Length ``N``.
            temperature: Of the softmax.
        """
        mask, head = completions.mask, self.hf_model.get_output_embeddings()
        ids = completions.ids[mask]
        hidden = self._hidden_states(head, **inputs, use_cache=False, logits_to_keep=keep)
        if hidden is not None:
            hidden = kept(hidden, keep)[row, column]
            picked = logprobs_of_hidden(head, hidden, ids, self._banned, temperature)
        else:
            logits = kept(self(**inputs, use_cache=False, logits_to_keep=keep).logits, keep)[row, column]
            picked = logprobs_of_logits(self.scale(logits, temperature), ids)
        whole = torch.zeros_like(mask, dtype=torch.float32)
        return TokenLogprobs(*(whole.masked_scatter(mask, value) for value in picked))

    def _hidden_states(self, head: nn.Module, **inputs: Any) -> Tensor | None:
        """What the output layer is given; it is called for one token only. Shape ``(rows, columns, H)``.

        ``None`` where logits are more than the output layer's product, as with a soft cap.
        """
        capped = getattr(self.codec.text_config, "final_logit_softcapping", None)  # which small logits do not show
        if self._head_is_last is False or capped or not is_plain_head(head):
            return None
        caught: list[Tensor] = []

        def catch(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            caught.append(args[0])
            return (args[0][:1, :1],)

        with head.register_forward_pre_hook(catch):
            logits = self(**inputs).logits
        if self._head_is_last is None and not caught:
            self._head_is_last = False
        elif self._head_is_last is None:
            with torch.no_grad():
                self._head_is_last = torch.allclose(head(caught[0][:1, :1]).to(logits.dtype), logits)
        return caught[0] if self._head_is_last else None

    def export(self, folder: str | Path, weights_only: bool = False) -> None:
        """Write an ordinary Hugging Face folder; adapters are merged into a copy of the weights.

        A base in four bits is written as the numbers that it stands for, in the type of the other weights: what was
        trained is what is written, and not the checkpoint it was rounded from.

        Every rank of a distributed run calls it, for weights that are sharded are gathered; the first writes.

        Args:
            folder: Where to write.
            weights_only: Leave out the processor.
        """
        model = self.hf_model
        weights = whole_weights(self.model or model) if self.is_spread else None
        if rank() != 0:
            return
        if quantized_weights(model):
            weights = dequantized_state(self.model or model)
        if is_adapted(self.model):
            merged = copy.deepcopy(self.model) if weights is None else rebuild(self.model, weights)
            model, weights = merged.merge_and_unload(), None
        processor = None if weights_only else self.codec.processor
        folders.export(model, processor, self.codec.coordinates, Path(folder), weights)

    def export_adapter(self, folder: str | Path) -> None:
        """Write the adapter alone, in the format of peft; see `export` for ranks.

        Args:
            folder: Where to write.

        Raises:
            ValueError: If there is none.
        """
        if not is_adapted(self.model):
            raise ValueError("Expected a policy with `lora` to export its adapter, but it has none. Use `export`.")
        weights = whole_weights(self.model, named="lora_")
        if rank() == 0:
            quantize = self.weights.lora.quantize if self.weights.lora else None
            export_adapter(self.model, weights, self.codec.processor, self.codec.coordinates, Path(folder), quantize)

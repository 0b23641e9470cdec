"""Model, config and processor of a checkpoint, as transformers loads them."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import OutOfMemoryError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from vrft_pl.policy.checkpoint import check_folder, resolve
from vrft_pl.policy.sums import check_sums
from vrft_pl.types import InputError

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, StrictDataclassError)
"""What transformers raises for a config or a processor that is missing, damaged, or of another kind."""


def load_model(
    checkpoint: str,
    dtype: str,
    attention: str | None,
    revision: str | None = None,
    quantization: BitsAndBytesConfig | None = None,
) -> PreTrainedModel:
    """Load an image-text-to-text model, weights complete, code from the hub never run.

    Raises:
        InputError: If the checkpoint can't be loaded, lacks weights of the model, or is not what its checksums say.
    """
    check_sums(Path(resolve(checkpoint)))
    kwargs: dict[str, Any] = {"ignore_mismatched_sizes": True}  # reported below instead
    if attention is not None:
        kwargs["attn_implementation"] = attention
    if quantization is not None:
        kwargs["quantization_config"] = quantization
    kwargs |= pinned(revision)
    model: PreTrainedModel
    info: dict[str, Any]
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(  # type: ignore[misc]  # a pair with loading info
            resolve(checkpoint), dtype=dtype, output_loading_info=True, trust_remote_code=False, **kwargs
        )
    except OutOfMemoryError:
        raise
    except UnpicklingError as error:
        raise InputError(
            f"Expected weights of a model at `{checkpoint}`, but got a pickle with more in it than tensors, which "
            "could run any code. Save them as safetensors."
        ) from error
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"Expected a checkpoint of a vision-language model at `{checkpoint}`, but {_line(error)}"
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise InputError(
            f"Expected `{checkpoint}` to hold every weight of {type(model).__name__}, but {len(missing)} are missing, "
            f"such as {missing[0]}."
        )
    if mismatched := sorted(name for name, *_ in info["mismatched_keys"]):
        raise InputError(
            f"Expected the weights at `{checkpoint}` to fit {type(model).__name__}, but {len(mismatched)} "
            f"have another shape, such as {mismatched[0]}."
        )
    return model


def load_configs(checkpoint: str, revision: str | None = None) -> tuple[PreTrainedConfig, GenerationConfig]:
    """Load how a model is built and how it generates; no weights are read.

    Raises:
        InputError: If there is no config.
    """
    folder = resolve(checkpoint)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False, **pinned(revision))
    except UNREADABLE as error:
        raise InputError(f"Expected a config of a model at `{checkpoint}`, but {_line(error)}") from error
    try:
        return config, GenerationConfig.from_pretrained(folder, **pinned(revision))
    except OSError as error:
        if (Path(folder) / "generation_config.json").exists():
            raise InputError(f"Expected a generation config at `{checkpoint}`, but {_line(error)}") from error
        return config, GenerationConfig.from_model_config(config)
    except ValueError as error:
        raise InputError(f"Expected a generation config at `{checkpoint}`, but {_line(error)}") from error


def model_arguments(config: PreTrainedConfig) -> Collection[str]:
    """Names of what the model of a config takes."""
    found: Any = AutoModelForImageTextToText._model_mapping.get(type(config), None)
    model = found[0] if isinstance(found, tuple) else found
    return () if model is None else inspect.signature(model.forward).parameters


def check_decoder_only(checkpoint: str, config: PreTrainedConfig) -> None:
    """Raise `InputError` for a model that writes into a decoder of its own: its answer does not continue its prompt."""
    if getattr(config, "is_encoder_decoder", False) or getattr(config.get_text_config(), "is_encoder_decoder", False):
        raise InputError(
            f"Expected `{checkpoint}` to continue its prompt, but it is an encoder-decoder (`{config.model_type}`). "
            "Use a decoder-only model."
        )


def read_processor(checkpoint: str, revision: str | None = None) -> ProcessorMixin:
    """Load the processor that lies in a folder, which may hold no weights, or at a hub id.

    Raises:
        InputError: If there is no processor or no chat template.
    """
    try:
        processor = AutoProcessor.from_pretrained(resolve(checkpoint), trust_remote_code=False, **pinned(revision))
    except UNREADABLE as error:
        raise InputError(f"Expected a processor at `{checkpoint}`, but {_line(error)}") from error
    if not hasattr(processor, "image_processor"):
        raise InputError(
            f"Expected a processor of pictures and text at `{checkpoint}`, but got {type(processor).__name__}."
        )
    if processor.chat_template is None:  # not every processor takes what lies in its folder
        processor.chat_template = getattr(processor.tokenizer, "chat_template", None)
    if processor.chat_template is None:
        raise InputError(
            f"Expected `{checkpoint}` to have a chat template, but it has none. Use a checkpoint that is tuned to "
            "instructions, or write a `chat_template.jinja` into its folder."
        )
    return processor


def load_processor(
    checkpoint: str, min_pixels: int | None, max_pixels: int | None, revision: str | None = None
) -> ProcessorMixin:
    """Load the processor that belongs to a checkpoint.

    Args:
        checkpoint: A folder or hub id.
        min_pixels: Fewest pixels of a picture after the processor's resize, for processors that resize by area.
        max_pixels: Most pixels of a picture after the processor's resize, likewise.
        revision: Commit, tag or branch of a hub.

    Raises:
        InputError: If there is no processor or no chat template, or there are no such limits.
    """
    check_folder(checkpoint)
    if revision is not None and Path(resolve(checkpoint)).is_dir():
        raise InputError(f"Expected `revision` with the id of a hub, but `{checkpoint}` is a folder. Leave it out.")
    for name, pixels in {"min_pixels": min_pixels, "max_pixels": max_pixels}.items():
        if pixels is not None and pixels < 1:
            raise ValueError(f"Expected `{name}` to be at least 1 pixel, but got {pixels}.")
    processor = read_processor(checkpoint, revision)
    limits = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
    if any(limits.values()):
        size = dict(processor.image_processor.size or {})
        by_area = None not in (size.get("longest_edge"), size.get("shortest_edge"))
        if not by_area or not hasattr(processor.image_processor, "patch_size"):
            raise InputError(
                f"`min_pixels` and `max_pixels` need a processor that resizes by area, but that of `{checkpoint}` has "
                f"`size` {size}. Leave them out."
            )
        size = {key: limits.get(key) or value for key, value in size.items() if value is not None}
        if size["shortest_edge"] > size["longest_edge"]:
            raise InputError(f"Expected `min_pixels` to be at most `max_pixels`, but the processor would use {size}.")
        processor.image_processor.size = type(processor.image_processor.size)(**size)
    return processor


def pinned(revision: str | None) -> dict[str, Any]:
    """What asks a hub for a revision: a commit, a tag or a branch; its main branch by default."""
    return {} if revision is None else {"revision": revision}


def _line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

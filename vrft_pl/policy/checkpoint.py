"""Reading and writing ordinary Hugging Face folders."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from vrft_pl.types import InputError

TINY = Path(__file__).parent / "tiny"
"""The embedded default: a Qwen3-VL of under 2 M parameters, cold-started on scenes."""


def resolve(checkpoint: str) -> str:
    """Turn the name ``tiny`` into the folder of the embedded checkpoint; leave paths and hub ids as they are."""
    return str(TINY) if checkpoint == "tiny" else checkpoint


def check_folder(checkpoint: str) -> None:
    """Raise `InputError` when something that can only be a path is not a folder."""
    looks_like_path = checkpoint.startswith(("/", ".", "~")) or checkpoint.count("/") > 1
    if looks_like_path and not Path(checkpoint).is_dir():
        raise InputError(f"Expected a checkpoint folder at `{checkpoint}`, but there is no such folder.")


def load_model(checkpoint: str, dtype: str, attention: str | None) -> PreTrainedModel:
    """Load an image-text-to-text model, weights complete, code from the hub never run.

    Raises:
        InputError: If the checkpoint can't be loaded or lacks weights of the model.
    """
    kwargs: dict[str, Any] = {"ignore_mismatched_sizes": True}  # reported below instead
    if attention is not None:
        kwargs["attn_implementation"] = attention
    model: PreTrainedModel
    info: dict[str, Any]
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(  # type: ignore[misc]  # a pair with loading info
            resolve(checkpoint), dtype=dtype, output_loading_info=True, trust_remote_code=False, **kwargs
        )
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
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


def load_processor(checkpoint: str, min_pixels: int | None, max_pixels: int | None) -> ProcessorMixin:
    """Load the processor that belongs to a checkpoint.

    Args:
        checkpoint: A folder or hub id.
        min_pixels: Fewest pixels of a picture after the processor's resize, for processors that resize by area.
        max_pixels: Most pixels of a picture after the processor's resize, likewise.

    Raises:
        InputError: If there is no processor, or it has no such limits.
    """
    check_folder(checkpoint)
    try:
        processor = AutoProcessor.from_pretrained(resolve(checkpoint), trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"Expected a processor at `{checkpoint}`, but {_line(error)}") from error
    if not hasattr(processor, "image_processor"):
        raise InputError(
            f"Expected a processor of pictures and text at `{checkpoint}`, but got {type(processor).__name__}."
        )
    limits = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
    if any(limits.values()):
        size = dict(processor.image_processor.size)
        if (
            "longest_edge" not in size
            or size["longest_edge"] is None
            or not hasattr(processor.image_processor, "patch_size")
        ):
            raise InputError(
                f"`min_pixels` and `max_pixels` need a processor that resizes by area, but that of `{checkpoint}` has "
                f"`size` {size}. Leave them out."
            )
        size = {key: limits.get(key) or value for key, value in size.items() if value is not None}
        if size["shortest_edge"] > size["longest_edge"]:
            raise InputError(f"Expected `min_pixels` to be at most `max_pixels`, but the processor would use {size}.")
        processor.image_processor.size = type(processor.image_processor.size)(**size)
    return processor


def export(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Write weights, processor and generation config so that ``from_pretrained`` loads them.

    The folder appears whole or not at all; an older one of that name is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new = Path(scratch) / "new"
        model.save_pretrained(new)
        processor.save_pretrained(new)
        new.chmod(0o755)
        if folder.exists():
            shutil.move(folder, Path(scratch) / "old")
        shutil.move(new, folder)


def _line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

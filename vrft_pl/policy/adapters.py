"""Folders of adapters alone, in the format of peft, and the whole checkpoints they make with their base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from vrft_pl.durable import new_folder
from vrft_pl.policy.checkpoint import (
    NOTE,
    PEFT_CONFIG,
    check_folder,
    export,
    note_data,
    read_coordinates,
    read_data,
    write_note,
)
from vrft_pl.policy.coordinates import CoordinateSpace
from vrft_pl.policy.loading import load_model, read_processor
from vrft_pl.policy.parts import Quantization, rebuild
from vrft_pl.policy.quantized import dequantized_state, load_quantized
from vrft_pl.policy.sums import check_sums, write_sums
from vrft_pl.types import InputError

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel


def export_adapter(
    model: PeftModel,
    weights: dict[str, Tensor],
    processor: ProcessorMixin,
    coordinates: CoordinateSpace,
    folder: Path,
    quantize: Quantization | None = None,
) -> None:
    """Write an adapter so that ``PeftModel.from_pretrained`` and `merge` put it on its base.

    Processor and note lie beside it. A base that is a folder is named by its whole path, so that the adapter may be
    used from anywhere.

    Args:
        model: The model that the adapter is on.
        weights: Whole weights of the adapter, by their names in the model.
        processor: The processor it was trained with.
        coordinates: How the policy writes coordinates.
        folder: Where to write.
        quantize: How the base was held in training.
    """
    (config,) = model.peft_config.values()
    base = config.base_model_name_or_path
    if base and Path(base).is_dir():
        config.base_model_name_or_path = str(Path(base).resolve())
    with new_folder(folder) as new:
        # no embedding is trained, and to find that out peft would ask the hub
        model.save_pretrained(str(new), state_dict=weights, save_embedding_layers=False)
        processor.save_pretrained(new)
        write_sums(new)
        write_note(new, {"coordinates": coordinates, "quantize": quantize})


def merge(adapter: Path, base: str | None, output: Path, quantize: Quantization | None = None) -> str:
    """Write the whole checkpoint that an adapter makes of its base, in the type of the base.

    An adapter that was trained on a base in four bits is merged into the numbers that those stand for, for that is the
    policy that was trained. Processor and coordinates are those of the adapter's folder where it has them, else those
    of the base.

    Args:
        adapter: Folder of the adapter.
        base: Folder or hub id of what it was trained on. Defaults to what the adapter names.
        output: Folder to write, which does not exist.
        quantize: How the base was held in training. Defaults to what a note in the adapter's folder says.

    Returns:
        Folder or hub id of the base.

    Raises:
        InputError: If there is no adapter, it does not fit its base, or ``output`` exists.
    """
    config = read_adapter(adapter)
    if output.exists():
        raise InputError(f"Expected `output` to be a new folder, but {output} exists. Name another one.")
    own = config.base_model_name_or_path
    if base and own and not same_place(base, own):
        rank_zero_warn(
            f"{adapter} was trained on {own}, and is merged into {base}: where they differ, so does the policy."
        )
    checkpoint, revision = (base, None) if base else (own, config.revision)
    if not checkpoint:
        raise InputError(f"Expected {adapter / PEFT_CONFIG} to name its base, but it does not. Name it with `--base`.")
    check_folder(checkpoint)
    quantize = quantize or read_quantization(adapter)
    load = load_quantized if quantize else load_model
    adapted = adapt(load(checkpoint, "auto", None, revision), adapter)
    whole: Any = rebuild(adapted, dequantized_state(adapted)) if quantize else adapted
    home = str(adapter) if has_processor(adapter) else checkpoint
    noted = str(adapter) if (adapter / NOTE).is_file() else checkpoint
    export(whole.merge_and_unload(), read_processor(home), read_coordinates(noted), output)
    if (asked := read_data(noted)) is not None:
        note_data(output, asked)
    return checkpoint


def same_place(base: str, other: str) -> bool:
    """Whether two names of a base are one folder, or one id of a hub."""
    return base == other or Path(base).resolve() == Path(other).resolve()


def read_adapter(folder: Path) -> LoraConfig:
    """Read what an adapter is.

    Raises:
        InputError: If there is none, or one of another kind than LoRA.
    """
    from peft import LoraConfig, PeftConfig

    if not (folder / PEFT_CONFIG).is_file():
        raise InputError(f"Expected the folder of an adapter at {folder}, but it has no {PEFT_CONFIG}.")
    try:
        config = PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"Expected {folder / PEFT_CONFIG} to describe an adapter, but it does not: {error}") from error
    if not isinstance(config, LoraConfig):
        raise InputError(f"Expected a LoRA adapter at {folder}, but got {type(config).__name__}.")
    return config


def read_quantization(folder: Path) -> Quantization | None:
    """How the base of an adapter was held in training, as the note in its folder says.

    Raises:
        InputError: If the note names no way that is known.
    """
    path = folder / NOTE
    note = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if note.get("quantize") not in (None, "nf4"):
        raise InputError(f"Expected `quantize` in {path} to be nf4 or null, but got {note['quantize']!r}.")
    return note.get("quantize")


def adapt(model: PreTrainedModel, adapter: Path) -> PeftModel:
    """Put an adapter on its base.

    Raises:
        InputError: If it is not one of this base, of which peft would leave out what it does not find, or not what its
            checksums say.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils.save_and_load import load_peft_weights

    check_sums(adapter)
    trouble = f"Expected the adapter at {adapter} to fit {type(model).__name__}, but"
    written = load_peft_weights(str(adapter), device="cpu")
    try:
        adapted = PeftModel.from_pretrained(model, str(adapter))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{trouble} {' '.join(str(error).split())[:200]} Name its own base with `--base`.") from error
    taken = get_peft_model_state_dict(adapted)
    others = sorted(set(written) ^ set(taken))
    others += [name for name in taken if name in written and not _equal(taken[name], written[name])]
    if others:
        raise InputError(f"{trouble} {len(others)} weights differ, such as {others[0]}. Name its base with `--base`.")
    return adapted


def has_processor(folder: Path) -> bool:
    """Whether a processor lies in a folder."""
    return any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json"))


def _equal(taken: torch.Tensor, written: torch.Tensor) -> bool:
    return torch.equal(taken.cpu(), written.to(taken.dtype))

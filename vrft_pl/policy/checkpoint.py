"""Folders of checkpoints: which one is meant, what the note in it says, and how one is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from vrft_pl.durable import new_folder, whole_path
from vrft_pl.policy.coordinates import CoordinateSpace
from vrft_pl.policy.sums import write_sums
from vrft_pl.types import InputError

NOTE = "vrft_pl.json"
"""File of an exported folder that only vrft_pl reads."""
PEFT_CONFIG = "adapter_config.json"
"""File of a folder that holds an adapter alone."""
TINY = Path(__file__).parent / "tiny"
"""The embedded default: a Qwen3-VL of under 2 M parameters, cold-started on scenes."""


def resolve(checkpoint: str) -> str:
    """Turn the name ``tiny`` into the folder of the embedded checkpoint; leave paths and hub ids as they are."""
    return str(TINY) if checkpoint == "tiny" else checkpoint


def check_folder(checkpoint: str) -> None:
    """Raise `InputError` when something that can only be a path is not a folder, or holds an adapter alone."""
    looks_like_path = checkpoint.startswith(("/", ".", "~")) or checkpoint.count("/") > 1
    if looks_like_path and not Path(checkpoint).is_dir():
        raise InputError(f"Expected a checkpoint folder at `{checkpoint}`, but there is no such folder.")
    folder = Path(checkpoint)
    if folder.is_file():
        raise InputError(f"Expected a checkpoint folder at `{checkpoint}`, but it is a file.")
    if (export := export_of(folder)) is not None:
        raise InputError(f"Expected a checkpoint at `{checkpoint}`, but it is a run's. Did you mean `{export}`?")
    if (folder / PEFT_CONFIG).is_file() and not (folder / "config.json").is_file():
        raise InputError(
            f"Expected a whole checkpoint at `{checkpoint}`, but it holds an adapter. Make one by `vrft_pl merge "
            f"--adapter {checkpoint} --output FOLDER`."
        )


def export_of(folder: Path) -> Path | None:
    """What a run exported, where a folder is the run's or that of its checkpoints, and no checkpoint to load itself."""
    if (folder / "config.json").is_file():
        return None
    run = folder.parent if folder.name == "checkpoints" else folder
    return run / "export" if (run / "export/config.json").is_file() else None


def commit_of(checkpoint: str, revision: str | None = None) -> str | None:
    """The commit of a hub that a loaded checkpoint is of, as the cache names it; ``None`` for a folder."""
    if Path(resolve(checkpoint)).is_dir():
        return None
    config = try_to_load_from_cache(checkpoint, "config.json", revision=revision)
    return Path(config).parent.name if isinstance(config, str) else None


def note_of(checkpoint: str, revision: str | None = None) -> Path | None:
    """The note of a folder or of a hub id; ``None`` where there is none, or where the hub can't be asked."""
    folder = Path(resolve(checkpoint))
    if folder.is_dir():
        return folder / NOTE if (folder / NOTE).is_file() else None
    try:
        return Path(hf_hub_download(checkpoint, NOTE, revision=revision))
    except (OSError, ValueError):  # whoever loads the checkpoint says what is wrong with it
        return None


def read_coordinates(checkpoint: str, revision: str | None = None) -> CoordinateSpace:
    """Read how a policy writes coordinates from what `export` made; elsewhere it is ``permille``.

    Raises:
        InputError: If the file names no space.
    """
    path = note_of(checkpoint, revision)
    if path is None:
        return "permille"
    try:
        space = json.loads(path.read_text(encoding="utf-8"))["coordinates"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"Expected {path} to be JSON with `coordinates`, but it is not.") from error
    if space not in get_args(CoordinateSpace):
        raise InputError(
            f"Expected `coordinates` in {path} to be one of {get_args(CoordinateSpace)}, but got {space!r}."
        )
    return cast(CoordinateSpace, space)


def export(
    model: PreTrainedModel,
    processor: ProcessorMixin | None,
    coordinates: CoordinateSpace,
    folder: Path,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write weights, processor and generation config so that ``from_pretrained`` loads them.

    A note beside them says how the policy writes coordinates, for the next stage; what has a processor, and may be
    used anywhere, has checksums too.

    Args:
        model: The model.
        processor: Its processor; ``None`` leaves it out.
        coordinates: How the policy writes coordinates.
        folder: Where to write.
        weights: Whole weights of a model whose own are sharded. Defaults to the model's.
    """
    with new_folder(folder, lasting=processor is not None) as new:
        model.save_pretrained(new, state_dict=weights)
        if processor is not None:
            processor.save_pretrained(new)
            write_sums(new)
        write_note(new, {"coordinates": coordinates})


def read_data(checkpoint: str) -> dict[str, Any] | None:
    """How a policy was asked in training: ``class_path`` and ``init_args`` of its data; ``None`` where no note says so.

    Raises:
        InputError: If the note is damaged, or names a class that is not of vrft_pl.
    """
    path = note_of(checkpoint)
    if path is None:
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8")).get("data")
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"Expected {path} to be a JSON object, but it is not.") from error
    if data is not None and not (isinstance(data, dict) and isinstance(data.get("class_path"), str)):
        raise InputError(f"Expected `data` in {path} to have a `class_path`, but got {str(data)[:60]}.")
    if foreign := [name for name in classes_in(data) if not name.startswith("vrft_pl.")]:  # no file chooses imports
        raise InputError(
            f"{path} says that the policy was trained with {foreign[0][:60]!r}, which is not of vrft_pl. "
            "Name the family by `--data` if you trust it."
        )
    return data


def classes_in(value: Any) -> Iterator[str]:
    """Every class that a config names, at any depth."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and "class_path" in value:
        yield str(value["class_path"])
    for part in inner:
        yield from classes_in(part)


def note_data(folder: Path, data: dict[str, Any]) -> None:
    """Add how a policy was asked in training to the note of a folder that `export` made."""
    note = json.loads((folder / NOTE).read_text(encoding="utf-8")) if (folder / NOTE).is_file() else {}
    write_note(folder, {**note, "data": data})


def write_note(folder: Path, note: dict[str, Any]) -> None:
    """Write what only vrft_pl reads of a folder, whole or not at all."""
    with whole_path(folder / NOTE) as scratch:
        scratch.write_text(json.dumps(note) + "\n", encoding="utf-8")

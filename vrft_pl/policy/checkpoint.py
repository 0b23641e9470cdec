"""Reading and writing ordinary Hugging Face folders."""

from __future__ import annotations

import inspect
import json
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
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

from vrft_pl.durable import sync_file, sync_folder, sync_tree
from vrft_pl.policy.coordinates import CoordinateSpace
from vrft_pl.policy.sums import check_sums, write_sums
from vrft_pl.types import InputError

NOTE = "vrft_pl.json"
"""File of an exported folder that only vrft_pl reads."""
PEFT_CONFIG = "adapter_config.json"
"""File of a folder that holds an adapter alone."""
TINY = Path(__file__).parent / "tiny"
"""The embedded default: a Qwen3-VL of under 2 M parameters, cold-started on scenes."""


UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, StrictDataclassError)
"""What transformers raises for a config or a processor that is missing, damaged, or of another kind."""


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


def pinned(revision: str | None) -> dict[str, Any]:
    """What asks a hub for a revision: a commit, a tag or a branch; its main branch by default."""
    return {} if revision is None else {"revision": revision}


def commit_of(checkpoint: str, revision: str | None = None) -> str | None:
    """The commit of a hub that a loaded checkpoint is of, as the cache names it; ``None`` for a folder."""
    if Path(resolve(checkpoint)).is_dir():
        return None
    config = try_to_load_from_cache(checkpoint, "config.json", revision=revision)
    return Path(config).parent.name if isinstance(config, str) else None


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
    scratch = folder / f".{NOTE}.partial"
    scratch.write_text(json.dumps(note) + "\n", encoding="utf-8")
    sync_file(scratch)
    scratch.replace(folder / NOTE)
    sync_folder(folder)


@contextmanager
def new_folder(folder: Path, lasting: bool = True) -> Iterator[Path]:
    """A folder to write into, which appears whole or not at all; an older one of that name is replaced.

    It is written beside its final name, and what a process that was killed has left there goes. All files get the
    rights that new ones have here: safetensors makes those of weights for their owner alone.

    Args:
        folder: The folder.
        lasting: Keep it through a power cut too.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "replaced"))
    for rest in (new, old):
        shutil.rmtree(rest, ignore_errors=True)
    new.mkdir()
    rights = stat.S_IMODE(new.stat().st_mode) & 0o666
    try:
        yield new
        for path in new.iterdir():
            path.chmod(rights)
        if lasting:
            sync_tree(new)
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
        if lasting:
            sync_folder(folder.parent)
    finally:
        for rest in (new, old):
            shutil.rmtree(rest, ignore_errors=True)


def _line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

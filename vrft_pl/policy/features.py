"""What a frozen vision tower sees in a prompt's pictures: computed once, for sampling, policy and reference."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import ModelOutput


def image_features(model: PreTrainedModel, inputs: dict[str, Tensor]) -> ModelOutput:
    """Call the model's own vision tower and projector.

    Args:
        model: The model.
        inputs: What the processor made of one prompt; keys that the tower takes are handed to it.
    """
    tower: Any = model.base_model
    wanted = inspect.signature(tower.get_image_features).parameters
    given = {key: value for key, value in inputs.items() if key in wanted}
    return tower.get_image_features(**given, return_dict=True)


def seen_by_what_is_trained(model: PreTrainedModel, inputs: dict[str, Tensor]) -> str | None:
    """Name a parameter that is trained and decides what is seen, as gradients tell; ``None`` if there is none."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.enable_grad():
        seen = [value.sum() for value in _tensors(image_features(model, inputs)) if value.requires_grad]
    if not seen or not trained:
        return None
    gradients = torch.autograd.grad(seen, list(trained.values()), allow_unused=True)
    return next((name for name, gradient in zip(trained, gradients, strict=True) if gradient is not None), None)


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of floating point in an output, however they are nested."""
    if isinstance(value, Tensor):
        yield from (value,) if value.is_floating_point() else ()
    elif isinstance(value, Mapping):
        yield from (one for part in value.values() for one in _tensors(part))
    elif isinstance(value, list | tuple):
        yield from (one for part in value for one in _tensors(part))


def join_features(parts: Sequence[ModelOutput]) -> ModelOutput | None:
    """Join the features of several prompts as if their pictures had been seen together.

    ``pooler_output`` is what the language model reads, one entry a picture, or ``last_hidden_state`` where a tower has
    no other; a list of any other name holds one entry a layer, such as the deep features of Qwen3-VL. Nothing else is
    kept.

    Returns:
        ``None`` where pictures of other sizes have features of other shapes, so that no tensor holds them.
    """
    read = "last_hidden_state" if parts[0].get("pooler_output") is None else "pooler_output"
    joined: dict[str, Any] = {spec.name: None for spec in fields(parts[0])}  # type: ignore[arg-type]  # subclasses are dataclasses
    try:
        for key, first in parts[0].items():
            values = [part[key] for part in parts]
            if key == read:
                joined[key] = _join(values)
            elif isinstance(first, list | tuple):
                joined[key] = [_join(layer) for layer in zip(*values, strict=True)]
    except RuntimeError:
        return None
    return type(parts[0])(**joined)


def _join(values: Sequence[Any]) -> Any:
    """Join tensors or lists of pictures along the pictures; layers that a model does not keep stay ``None``."""
    if values[0] is None:
        return None
    return torch.cat(list(values)) if isinstance(values[0], Tensor) else [one for value in values for one in value]


@contextmanager
def given_features(model: PreTrainedModel, features: ModelOutput | None) -> Iterator[None]:
    """Let the model find features where it would compute them; ``None`` changes nothing."""
    if features is None:
        yield
        return
    tower: Any = model.base_model
    tower.get_image_features = lambda *args, **kwargs: features
    try:
        yield
    finally:
        del tower.get_image_features

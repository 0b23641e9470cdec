"""The parts of a vision-language model: freezing them, adapting them, counting their parameters."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, get_args

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from transformers import PreTrainedModel

from vrft_pl.distributed import whole_size
from vrft_pl.policy.anatomy import Anatomy, Part
from vrft_pl.types import InputError

if TYPE_CHECKING:
    from peft import PeftModel

Quantization = Literal["nf4"]
"""Ways to hold a frozen base in fewer bits: 4-bit NormalFloat."""


@dataclass(frozen=True)
class LoRA:
    """Low-rank adapters (https://arxiv.org/abs/2106.09685) on the linear layers of some parts.

    Args:
        rank: Rank of each adapter.
        alpha: The adapter's output is scaled by ``alpha / rank``. Defaults to twice the rank.
        dropout: Dropout before each adapter.
        parts: Parts of the model that get adapters.
        targets: Regular expression on module names, for a finer choice than ``parts``.
        experts: Adapt the experts of a mixture as well where they are one tensor and no linear layers. The update of
            every expert is computed in every pass, which takes time and memory; ``dropout`` has to be 0.
        quantize: Hold the linear layers of the frozen language model in four bits (QLoRA); needs bitsandbytes.
    """

    rank: int = 16
    alpha: float | None = None
    dropout: float = 0.0
    parts: tuple[Part, ...] = ("language",)
    targets: str | None = None
    experts: bool = False
    quantize: Quantization | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.rank < 1:
            raise ValueError(f"Expected `rank` to be at least 1, but got {self.rank}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"Expected `dropout` to be in [0, 1), but got {self.dropout}.")
        if self.experts and self.dropout:
            raise ValueError(f"Expected `dropout` to be 0 with `experts`, but got {self.dropout}.")
        if self.targets is not None:
            check_pattern("targets", self.targets)


def freeze(model: PreTrainedModel, parts: Collection[Part], pattern: str | None = None) -> None:
    """Switch gradients off for whole parts, and for parameters whose name matches a regular expression.

    Raises:
        InputError: If a part or the pattern matches no parameter.
    """
    part_of = Anatomy.of(model).part_of
    names = [name for name, _ in model.named_parameters()]
    for part in parts:
        if not any(part_of(name) == part for name in names):
            raise InputError(f"Expected {type(model).__name__} to have a part `{part}` to freeze, but it has none.")
    if pattern is not None and not any(re.search(pattern, name) for name in names):
        raise InputError(
            f"Expected `freeze_pattern` to match a parameter, but {pattern!r} matches none, such as {names[0]}."
        )
    for name, parameter in model.named_parameters():
        if part_of(name) in parts or (pattern is not None and re.search(pattern, name)):
            parameter.requires_grad_(False)


def keep_frozen_still(model: nn.Module, all_of_it: bool = False) -> None:
    """Put what is frozen into evaluation mode: no dropout, and statistics of batches stay those of the checkpoint.

    A module is frozen when it has parameters and none of them is trained; modules without parameters follow the one
    they are part of.

    Args:
        model: The model.
        all_of_it: Treat what is trained in the same way.
    """
    if all_of_it:
        model.eval()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()
    for module in model.modules():
        # layers recompute their activations in training mode only, and gradients may flow through frozen ones
        if getattr(module, "gradient_checkpointing", False):
            module.training = True


def check_pattern(argument: str, pattern: str) -> None:
    """Raise `ValueError` when an argument is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"Expected `{argument}` to be a regular expression, but got {pattern!r}: {error}.") from error


def enable_checkpointing(model: PreTrainedModel) -> None:
    """Recompute activations in the backward pass; transformers has renamed the method."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def add_lora(model: PreTrainedModel, lora: LoRA, revision: str | None = None) -> PeftModel:
    """Wrap a model with adapters; everything else is frozen.

    Args:
        model: The model.
        lora: The adapters.
        revision: That of the model on a hub, which an adapter that is exported names.

    Raises:
        InputError: If no linear layer is chosen.
    """
    anatomy = Anatomy.of(model)

    def wanted(name: str) -> bool:
        return bool(re.search(lora.targets, name)) if lora.targets else anatomy.part_of(name) in lora.parts

    chosen = [name for name in adaptable(model) if wanted(name)]
    experts = [name for name in expert_tensors(model) if wanted(name)]
    if experts and not lora.experts:
        warn_of_experts(model, experts)
    if not chosen:
        raise InputError(
            f"Expected LoRA to find a linear layer, but parts {lora.parts} and targets {lora.targets!r} match none."
        )
    alpha = 2 * lora.rank if lora.alpha is None else lora.alpha
    from peft import LoraConfig, get_peft_model  # takes a second, which a run without adapters need not wait for

    return get_peft_model(
        model,
        LoraConfig(
            r=lora.rank,
            revision=revision,
            lora_alpha=alpha,  # type: ignore[arg-type]  # peft divides, a float is fine
            lora_dropout=lora.dropout,
            target_modules=chosen,
            target_parameters=experts if lora.experts else None,
        ),
    )


def adaptable(model: PreTrainedModel) -> Iterator[str]:
    """Names of the linear layers that adapters may be laid beside: all but the output layer."""
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        # a class that a model derives for itself, such as a router, may return more than the product
        own = type(module).__module__.startswith("transformers.models.")
        if isinstance(module, nn.Linear) and not own and module is not head:
            yield name


def warn_of_experts(model: PreTrainedModel, experts: Sequence[str]) -> None:
    """Say which share of a mixture of experts is left as it is."""
    share = sum(model.get_parameter(name).numel() for name in experts) / sum(p.numel() for p in model.parameters())
    rank_zero_warn(
        f"LoRA leaves the experts of {type(model).__name__} as they are, {share:.0%} of its parameters: "
        f"{len(experts)} tensors such as {experts[0]}. `lora.experts: true` adapts them."
    )


def is_adapted(model: object) -> TypeGuard[PeftModel]:
    """Whether a model has been wrapped with adapters."""
    peft = sys.modules.get("peft")  # nobody has wrapped anything before it was imported
    return peft is not None and isinstance(model, peft.PeftModel)


def expert_tensors(model: nn.Module) -> list[str]:
    """Names of tensors that hold one matrix an expert."""
    return [
        f"{name}.{own}"
        for name, module in model.named_modules()
        if not isinstance(module, nn.Conv1d)
        for own, parameter in module.named_parameters(recurse=False)
        if parameter.ndim == 3 and min(parameter.shape) > 1
    ]


def rebuild(model: PeftModel, weights: dict[str, Tensor]) -> PeftModel:
    """Make a model with adapters anew around whole weights, where its own are sharded or in four bits.

    Args:
        model: The model.
        weights: Its state.
    """
    from peft import get_peft_model

    base: Any = model.get_base_model()
    config = copy.deepcopy(base.config)
    vars(config).pop("quantization_config", None)  # the weights are whole
    with torch.device("meta"):
        twin = get_peft_model(type(base)(config), copy.deepcopy(model.peft_config["default"]))
    twin.load_state_dict(weights, assign=True)
    whole: Any = twin.get_base_model()
    whole.tie_weights()
    whole.generation_config = base.generation_config
    return twin


def trained_parts(model: nn.Module, anatomy: Anatomy) -> set[Part]:
    """Parts of which something is trained."""
    trained = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
    return {anatomy.part_of(name) for name in trained}


def parameter_table(model: nn.Module, anatomy: Anatomy) -> dict[str, tuple[int, int]]:
    """Count trainable and all parameters by part, shared ones once."""
    table: dict[str, tuple[int, int]] = dict.fromkeys(get_args(Part), (0, 0))
    for name, parameter in model.named_parameters():
        part = anatomy.part_of(name)
        trainable, total = table[part]
        size = whole_size(parameter)
        table[part] = (trainable + size * parameter.requires_grad, total + size)
    return table

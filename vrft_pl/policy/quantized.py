"""A frozen base in four bits, as QLoRA trains adapters on it (https://arxiv.org/abs/2305.14314)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, PreTrainedModel

from vrft_pl.policy.anatomy import Anatomy
from vrft_pl.policy.loading import load_configs, load_model
from vrft_pl.types import InputError

BLOCK = 64
"""Weights that share a scale. Of rows that are no multiple of it bitsandbytes makes wrong numbers on CPUs, silently."""


def load_quantized(checkpoint: str, dtype: str, attention: str | None, revision: str | None = None) -> PreTrainedModel:
    """The same as `load_model`, the linear layers of the language model in four bits.

    Raises:
        InputError: Also if bitsandbytes is not installed.
    """
    model = load_model(checkpoint, dtype, attention, revision, four_bits(checkpoint, dtype, revision))
    hold_still(model)
    return model


def four_bits(checkpoint: str, dtype: str, revision: str | None = None) -> BitsAndBytesConfig:
    """How to load a checkpoint with the linear layers of its language model as 4-bit NormalFloat.

    Unlike in the paper the vision tower and the projector stay as they are, for they are small and what they see is
    not repeated; so do embeddings and head. The scales of the blocks are quantised too, as in the paper: 4.127 bits a
    weight.

    Args:
        checkpoint: Folder or hub id.
        dtype: Type of all other weights, in which products are computed too; ``auto`` is that of the checkpoint.
        revision: Commit, tag or branch of a hub.

    Raises:
        InputError: If bitsandbytes is not installed, or there is no config.
    """
    if find_spec("bitsandbytes") is None:
        raise InputError(
            "Expected bitsandbytes for `lora.quantize`, but it is not installed. Install it with `pip install "
            "'vrft_pl[qlora]'`, or leave `quantize` out."
        )
    config, _ = load_configs(checkpoint, revision)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    computed = (config.dtype or torch.float32) if dtype == "auto" else getattr(torch, dtype)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=computed,
        llm_int8_skip_modules=kept_whole(model),
    )


def kept_whole(model: Any) -> list[str]:
    """Names of the linear layers that stay whole."""
    part_of, head = Anatomy.of(model).part_of, model.get_output_embeddings()
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return [name for name, m in linears if m is head or part_of(name) != "language" or m.in_features % BLOCK]


def quantized_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model that are held in four bits, by name."""
    return {name: weight for name, weight in model.named_parameters() if hasattr(weight, "quant_state")}


def quantization_bytes(model: nn.Module) -> int:
    """Bytes of the scales beside the 4-bit weights; they are no parameters."""
    states = [weight.quant_state for weight in quantized_weights(model).values()]  # type: ignore[attr-defined]
    scales = [(s.absmax, s.code, s.offset, s.state2.absmax, s.state2.code) for s in states]
    return sum(tensor.nbytes for tensors in scales for tensor in tensors)


def dequantized_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state of a model in the memory of the host, 4-bit weights as the numbers that they stand for."""
    from bitsandbytes.functional import dequantize_4bit

    state = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
    for name, weight in quantized_weights(model).items():
        state[name] = dequantize_4bit(weight.data, weight.quant_state).cpu()  # type: ignore[attr-defined]
    return state


def hold_still(model: nn.Module) -> None:
    """Let nothing change the 4-bit weights of a model, and leave them out of its state: they are those of its base.

    bitsandbytes writes them with their scales, which no `load_state_dict` takes back.
    """
    for name in quantized_weights(model):
        layer: Any = model.get_submodule(name.rpartition(".")[0])
        # on a CPU with bfloat16 it would round the scales for good, and sample from another policy than it trains
        layer.support_avx512bf16_for_cpu = False
        layer.register_state_dict_post_hook(_leave_out)
        layer.register_load_state_dict_pre_hook(_put_back)


def _leave_out(layer: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for key in [key for key in state if key == f"{prefix}weight" or key.startswith(f"{prefix}weight.")]:
        del state[key]


def _put_back(layer: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    state[f"{prefix}weight"] = layer.weight

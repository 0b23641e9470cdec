"""Whether weights are spread over devices, and how to get them whole."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.strategies import (
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
    StrategyRegistry,
)
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from vrft_pl.distributed.fsdp import FSDP2
from vrft_pl.distributed.ranks import mean_over_ranks, rank, world_size


@dataclass(frozen=True)
class Shards:
    """Devices that share one copy of each kind of tensor."""

    weights: int = 1
    gradients: int = 1
    optimizer: int = 1
    master: bool = False
    """Whether the strategy keeps trained weights in float32 beside those in half precision (DeepSpeed)."""
    offloaded: bool = False
    """Whether the optimizer's states live in the memory of the host."""


def read_shards(strategy: Strategy | str, devices: int, precision: str) -> Shards:
    """What a strategy, by name or built, spreads over the devices."""
    kind, (stage, offloaded) = strategy_class(strategy), _zero(strategy)
    if issubclass(kind, FSDPStrategy | ModelParallelStrategy):
        return Shards(devices, devices, devices, offloaded=offloaded)
    if not issubclass(kind, DeepSpeedStrategy):
        return Shards()
    return Shards(
        weights=devices if stage >= 3 else 1,
        gradients=devices if stage >= 2 else 1,
        optimizer=devices if stage >= 1 else 1,
        master="16" in precision,
        offloaded=offloaded,
    )


def strategy_class(strategy: Strategy | str) -> type[Strategy]:
    """Class of a strategy, by name or built; that of all where the name leaves the choice to Lightning (``auto``)."""
    if isinstance(strategy, Strategy):
        return type(strategy)
    kind: type[Strategy] = StrategyRegistry[strategy]["strategy"] if strategy in StrategyRegistry else Strategy
    return kind


def _zero(strategy: Strategy | str) -> tuple[int, bool]:
    """The ZeRO stage of a strategy, and whether the optimizer is offloaded."""
    if isinstance(strategy, DeepSpeedStrategy):
        zero = strategy.config.get("zero_optimization", {}) if isinstance(strategy.config, dict) else {}
        return int(zero.get("stage", 0)), "offload_optimizer" in zero
    if isinstance(strategy, Strategy) or strategy not in StrategyRegistry:
        return 0, False
    given: dict[str, Any] = StrategyRegistry[strategy]["init_params"]
    return int(given.get("stage", 2)), bool(given.get("offload_optimizer") or given.get("cpu_offload"))


def shards_weights(strategy: Strategy | str) -> bool:
    """Whether a strategy, by name or built, leaves no device a whole copy of the weights."""
    return read_shards(strategy, devices=2, precision="32-true").weights > 1


def can_be_whole(strategy: Strategy | str) -> bool:
    """Whether a device has whole weights under a strategy, by name or built, if only while `whole` makes them so."""
    return not shards_weights(strategy) or issubclass(strategy_class(strategy), FSDP2 | DeepSpeedStrategy)


def spread(model: nn.Module, strategy: Strategy, passes: Sequence[str] = ()) -> None:
    """Spread weights over ranks where a strategy leaves that to the one who makes them.

    Args:
        model: With whole weights.
        strategy: The strategy; most spread nothing, or all of a LightningModule by themselves.
        passes: Names of methods that run the model beside ``forward``.
    """
    if isinstance(strategy, FSDP2):
        strategy.cut(model, passes)
    elif isinstance(strategy, DeepSpeedStrategy) and not any(p.requires_grad for p in model.parameters()):
        _take_apart(model, strategy)


def keep_optimizer(strategy: Strategy) -> None:
    """Let a strategy that offloads step with the optimizer that is configured, unless its own config says otherwise.

    DeepSpeed would end the run for any but its own Adam, which it compiles.
    """
    if isinstance(strategy, DeepSpeedStrategy) and isinstance(strategy.config, dict):
        strategy.config.setdefault("zero_force_ds_cpu_optimizer", False)


def _take_apart(model: nn.Module, strategy: DeepSpeedStrategy) -> None:
    """Spread what is not trained, once, as ZeRO-3 spreads what is."""
    assert isinstance(strategy.config, dict)
    if not strategy.zero_stage_3 or is_sharded(model.parameters()):
        return
    import deepspeed

    wanted = ("zero_optimization", "bf16", "fp16")
    config = {key: strategy.config[key] for key in wanted if key in strategy.config}
    engine, *_ = deepspeed.initialize(
        args=Namespace(device_rank=strategy.root_device.index),
        config={"train_micro_batch_size_per_gpu": 1, **config},
        model=model,
        model_parameters=[],
        dist_init_required=False,
    )
    vars(model)["engine"] = engine  # no submodule; with it would go the hooks that gather


def is_spread(model: nn.Module) -> bool:
    """Whether ranks hold the weights of a model together, also while they are whole."""
    return isinstance(model, FSDPModule) or is_sharded(model.parameters())


def is_sharded(parameters: Iterable[Tensor]) -> bool:
    """Whether any of these tensors is spread over ranks (FSDP2, tensor parallelism or ZeRO-3)."""
    return any(isinstance(p, DTensor) or hasattr(p, "ds_tensor") for p in parameters)


def anywhere(values: Sequence[Tensor]) -> list[bool]:
    """Whether each tensor has an entry other than 0 and is finite; of one that ranks hold together, on any of them."""
    if not values:
        return []
    parts = [value.to_local() if isinstance(value, DTensor) else value for value in values]
    found = torch.stack([part.any() & part.isfinite().all() for part in parts])
    if is_sharded(values):
        found = mean_over_ranks(found.float()) > 0
    return found.tolist()


def total_norm(values: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all values together, on every rank: float32, not finite where one of them is not.

    Every rank calls it with its parts of the same values, and with the same whole ones; 0 of none.
    """
    parts = [value.to_local() for value in values if isinstance(value, DTensor)]
    whole = _norm([value for value in values if not isinstance(value, DTensor)])
    if not parts:
        return whole
    of_parts = mean_over_ranks(_norm(parts).square()) * world_size()
    return (of_parts + whole.to(of_parts.device).square()).sqrt()


def _norm(values: Sequence[Tensor]) -> Tensor:
    if not values:
        return torch.zeros(())
    return torch.stack(torch._foreach_norm(list(values), 2, torch.float32)).norm()


@contextmanager
def made_whole() -> Iterator[None]:
    """Let a strategy place weights only after they are read from their checkpoint.

    Within Lightning's ``configure_model``, ZeRO-3 would take each layer apart before it is filled.
    """
    if "deepspeed" not in sys.modules:
        yield
        return
    from deepspeed.runtime.zero.partition_parameters import restore_init_context, shutdown_init_context

    shutdown_init_context()
    try:
        yield
    finally:
        restore_init_context()


def whole_size(parameter: Tensor) -> int:
    """Number of elements, those on other ranks included; of a tensor in four bits those that it stands for."""
    if (quantization := getattr(parameter, "quant_state", None)) is not None:
        return int(quantization.shape.numel())
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def whole_weights(model: nn.Module, named: str = "") -> dict[str, Tensor]:
    """The state of a model whose weights are spread over ranks, put together one tensor after the other.

    Every rank has to call it.

    Args:
        model: The model.
        named: What is in the name of each tensor that is wanted; all are.

    Returns:
        Whole tensors in the memory of the host on the first rank, where tied ones stay one tensor; nothing elsewhere.
    """
    whole: dict[int, Tensor] = {}
    state = {name: value for name, value in model.state_dict(keep_vars=True).items() if named in name}
    for value in {id(value): value for value in state.values()}.values():  # a tied one once, on every rank
        with _gathered(value) as tensor:
            if rank() == 0:
                whole[id(value)] = tensor.detach().cpu().clone()
    return {name: whole[id(value)] for name, value in state.items()} if rank() == 0 else {}


@contextmanager
def _gathered(value: Tensor) -> Iterator[Tensor]:
    """A tensor as it is on all ranks together."""
    if isinstance(value, DTensor):
        there: Any = value.to(value.device_mesh.device_type)  # gathered where its ranks talk, also if offloaded
        yield there.full_tensor()
    elif hasattr(value, "ds_tensor"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([value]):
            yield value.data
    else:
        yield value

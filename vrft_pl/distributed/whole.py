"""Weights that ranks hold together, whole on each of them for a while: to sample with.

Ranks write completions of different lengths. Were weights gathered layer by layer, one that has finished would leave
the others waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from vrft_pl.distributed.fsdp import reshard

STRATEGIES = ("torch.distributed.fsdp", "deepspeed")
"""Modules whose hooks gather weights before a layer, and give them back after it or where a state is asked for."""


def is_whole(parameters: Iterable[Tensor]) -> bool:
    """Whether all of these tensors are whole on this rank now."""
    return not any(isinstance(p, DTensor) or _is_taken_apart(p) for p in parameters)


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Make the weights of a model whole, and spread them over the ranks again after.

    Inside it is an ordinary model, that each rank may call as often as it likes; nothing is to be trained there. Every
    rank has to enter and leave at the same point. Where weights are whole already, nothing is done.

    Args:
        model: One that a strategy has spread or not.
    """
    if is_whole(model.parameters()):
        yield
        return
    if isinstance(model, FSDPModule):
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.unshard()  # the first time it hangs up hooks
        try:
            with _without_hooks(model):
                yield
        finally:
            reshard(model)
    else:
        import deepspeed

        taken_apart = [p for p in model.parameters() if _is_taken_apart(p)]
        with _without_hooks(model), deepspeed.zero.GatheredParameters(taken_apart):
            yield


def forget_engine(model: nn.Module) -> None:
    """Take off for good what an engine of DeepSpeed has hung on a model, before a new one does.

    Each call of the Trainer makes an engine, and leaves that of the call before it: of two that gather the same layer,
    one ends the run.
    """
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks, module._backward_hooks):
            for key in [key for key, hook in hooks.items() if hook.__module__.startswith("deepspeed")]:
                del hooks[key]


def _is_taken_apart(parameter: Tensor) -> bool:
    """Whether ZeRO-3 has given other ranks their parts; a small one it may have kept."""
    return hasattr(parameter, "ds_status") and parameter.ds_status.name != "AVAILABLE"


@contextmanager
def _without_hooks(model: nn.Module) -> Iterator[None]:
    """Take off what a strategy has hung on the modules of a model, and on its methods."""
    with ExitStack() as restore:
        for module in model.modules():
            for hooks in (module._forward_pre_hooks, module._forward_hooks, module._state_dict_pre_hooks):
                restore.callback(_replace, hooks, dict(hooks))
                _replace(
                    hooks, {key: hook for key, hook in hooks.items() if not hook.__module__.startswith(STRATEGIES)}
                )
        for name, method in [(name, value) for name, value in vars(model).items() if hasattr(value, "__wrapped__")]:
            restore.callback(setattr, model, name, method)
            delattr(model, name)
        yield


def _replace(hooks: dict[int, Any], others: dict[int, Any]) -> None:
    hooks.clear()
    hooks.update(others)

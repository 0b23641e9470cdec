"""Whether a rank may go through the model once more than the others."""

from __future__ import annotations

from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch.nn.parallel import DistributedDataParallel


def passes_alone(strategy: Strategy) -> bool:
    """Whether a rank may go forward through the model once more than the others, which has all of its weights."""
    return isinstance(strategy, SingleDeviceStrategy | DDPStrategy)


def repeats_backward(strategy: Strategy) -> bool:
    """Whether a rank may make a part of its backward pass again, which others make once.

    Under DDP a gradient is exchanged when it is there, whichever pass it is of; but what is trained must not be looked
    for in the graph of the loss, which such a rank keeps to itself.
    """
    return passes_alone(strategy) and not _looks_at_graphs(strategy.model)


def _looks_at_graphs(model: object) -> bool:
    return isinstance(model, DistributedDataParallel) and (model.find_unused_parameters or model.static_graph)

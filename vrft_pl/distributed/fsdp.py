"""FSDP2: weights, gradients and optimizer states spread over all ranks (https://arxiv.org/abs/2304.11277)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from lightning.fabric.plugins.collectives.torch_collective import default_pg_timeout
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from vrft_pl.types import InputError


class FSDP2(ModelParallelStrategy):
    """Spreads weights over all ranks, each of which reads rows of its own; by name ``fsdp2``.

    Lightning's own defaults make ranks of one node a tensor-parallel group: they would read the same rows, and of those
    on several nodes none would average its gradients with the others'. So both sizes are set here.

    Args:
        data_parallel_size: Ranks that rows are dealt out to: all there are, which need not be said.
        tensor_parallel_size: Ranks that compute one layer together: 1.
        save_distributed_checkpoint: Write a folder in which each rank saves its share, where one file is too much for
            the memory of one host. A file is written as a whole or not at all, and any other strategy reads it too.
        process_group_backend: How ranks talk. Defaults to ``nccl`` on GPUs and ``gloo`` on a CPU.
        timeout: Most time that a rank waits for the others.

    Raises:
        ValueError: If ranks are to compute a layer together.
    """

    def __init__(
        self,
        data_parallel_size: Literal["auto"] | int = "auto",
        tensor_parallel_size: Literal["auto"] | int = 1,
        save_distributed_checkpoint: bool = False,
        process_group_backend: str | None = None,
        timeout: timedelta | None = default_pg_timeout,
    ) -> None:
        if tensor_parallel_size not in (1, "auto"):
            raise ValueError(
                f"Expected `tensor_parallel_size` of FSDP2 to be 1, but got {tensor_parallel_size}. Leave it out."
            )
        super().__init__(data_parallel_size, 1, save_distributed_checkpoint, process_group_backend, timeout)

    def setup_environment(self) -> None:
        """Meet the other ranks, once it is certain that every one of them is to read rows of its own."""
        ranks = self.num_nodes * self.num_processes
        if self._data_parallel_size not in (ranks, "auto"):
            raise InputError(
                f"Expected `data_parallel_size` of FSDP2 to be the number of ranks, {ranks}, but got "
                f"{self._data_parallel_size}. Leave it out."
            )
        self._data_parallel_size = ranks
        super().setup_environment()

    def setup_optimizers(self, trainer: Trainer) -> None:
        """Make the optimizer of each rank's share: a pass without gradients leaves weights of the root whole."""
        assert self.model is not None
        reshard(self.model)
        super().setup_optimizers(trainer)

    def cut(self, model: nn.Module, passes: Sequence[str]) -> None:
        """Spread a model over all ranks, once.

        The layers of its towers and of its decoder are gathered one at a time. All the rest, such as embeddings and
        output layer, belongs to the model itself: were a module inside it the root, a pass that reads a loss off
        anything but the root's output would leave the rest without gradient, silently.

        Args:
            model: With whole weights, the same on every rank.
            passes: Names of its methods that run it and are called from outside, ``forward`` left out.
        """
        if isinstance(model, FSDPModule):
            return
        mesh: DeviceMesh = self.device_mesh["data_parallel"]
        for layer in layers(model):
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for name in passes:
            register_fsdp_forward_method(model, name)


def layers(model: nn.Module) -> list[nn.Module]:
    """What stands in the outermost lists of modules: the layers of towers and decoder, of any architecture."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    inner = {module for one in lists for module in one.modules() if module is not one}
    found = dict.fromkeys(layer for one in lists if one not in inner for layer in one)
    return [layer for layer in found if any(True for _ in layer.parameters())]


def reshard(model: nn.Module) -> None:
    """Leave each rank its share of a model and of all in it."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


StrategyRegistry.register("fsdp2", FSDP2, description="Fully sharded data parallelism over all ranks (FSDP2)")

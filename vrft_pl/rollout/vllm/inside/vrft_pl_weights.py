"""Loaded by vLLM's workers: takes weights from the files of a folder, which may lie in shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import linear
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.layers import utils
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.platforms import current_platform


@dataclass
class NothingToInitialize(WeightTransferInitInfo):
    """Files need no handshake."""


@dataclass
class Folder(WeightTransferUpdateInfo):
    """Where the weights of a checkpoint lie."""

    folder: str
    """Holds ``*.safetensors`` under the names of a checkpoint."""


class FileEngine(WeightTransferEngine[NothingToInitialize, Folder]):
    """Takes weights from files, mapped and not read: in shared memory each tensor is copied once."""

    init_info_cls = NothingToInitialize
    update_info_cls = Folder

    def init_transfer_engine(self, init_info: NothingToInitialize) -> None:
        """Nothing to do."""

    def start_weight_update(self) -> None:
        """Prepare to load layer by layer."""
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Load the weights of a folder; the base class waits for an accelerator, which not every machine has."""
        self.receive_weights(self.parse_update_info(update_info))
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()

    def receive_weights(self, update_info: Folder) -> None:
        """Load the weights of a folder.

        Raises:
            FileNotFoundError: If it holds none.
        """
        files = sorted(Path(update_info.folder).glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(f"Expected `*.safetensors` in {update_info.folder}, but there are none.")
        self.model.load_weights(tensors(files, self.device))

    def finish_weight_update(self) -> None:
        """Finish what was loaded layer by layer."""
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        """Nothing to do."""


def tensors(files: list[Path], device: torch.device) -> Iterator[tuple[str, Tensor]]:
    """The tensors of several files by name."""
    for file in files:
        with safe_open(file, framework="pt", device=str(device)) as opened:
            for name in opened.keys():  # noqa: SIM118  # no dict
                yield name, opened.get_tensor(name)


def leave_unpacked(layer: torch.nn.Module, remove_weight: bool) -> None:
    """Let a linear layer multiply by its own weight.

    vLLM packs it on a CPU and drops the original: an update would answer 200 and leave the old weights in place.
    """
    layer.cpu_linear = linear  # type: ignore[assignment]  # as vLLM does


class Extension:
    """What vLLM adds to its workers; to load this module is all it is for."""


WeightTransferEngineFactory.register_engine("vrft_pl_files", FileEngine)
if current_platform.is_cpu():
    utils.dispatch_cpu_unquantized_gemm = leave_unpacked

"""Runs on two processes: ``python sharded_run.py STRATEGY CHECKPOINT FOLDER COLUMN...``; see `sharding.py`.

Where agents of torchrun start it, it runs on two of each node. What a column is compared in lies in
``FOLDER/COLUMN.pt`` when it has ended well.
"""

import os
import sys
from pathlib import Path

import torch
from ddp_step import CPUDeepSpeed
from lightning.pytorch.strategies import DDPStrategy
from sharding import COLUMNS
from torch.distributed import destroy_process_group

from vrft_pl.distributed import rank

GLOO = {"process_group_backend": "gloo", "logging_batch_size_per_gpu": 1}


def apart(strategy):
    """Keeps no small tensor whole on every rank, as none of these would be otherwise."""
    strategy.config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return strategy


STRATEGIES = {
    "ddp": lambda: DDPStrategy(process_group_backend="gloo"),
    "fsdp2": lambda: "fsdp2",
    "zero1": lambda: CPUDeepSpeed(stage=1, **GLOO),
    "zero2": lambda: CPUDeepSpeed(stage=2, **GLOO),
    "zero3": lambda: apart(CPUDeepSpeed(stage=3, **GLOO)),
    "zero3_offload": lambda: apart(CPUDeepSpeed(stage=3, offload_optimizer=True, offload_parameters=True, **GLOO)),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    strategy, checkpoint, folder, *columns = *sys.argv[1:3], Path(sys.argv[3]), *sys.argv[4:]
    ranks = {"devices": 2, "num_nodes": int(os.environ.get("GROUP_WORLD_SIZE", "1"))}
    for column in columns:
        weights = COLUMNS[column](checkpoint, folder / column, strategy=STRATEGIES[strategy], **ranks)
        if rank() == 0:
            torch.save(weights, folder / f"{column}.pt")
    destroy_process_group()

"""A policy sharded over two processes (FSDP2) is exported: ``python sharded_export.py CHECKPOINT FOLDER RANK``."""

import sys
from pathlib import Path

import torch
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from vrft_pl.distributed import is_sharded, whole_weights
from vrft_pl.policy import VLM, LoRA

if __name__ == "__main__":
    checkpoint, folder, own = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=own, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for name, lora in {"plain": None, "adapted": LoRA(rank=2, parts=("language", "vision"))}.items():
        policy = VLM(checkpoint, lora=lora).load()
        for parameter_name, parameter in policy.named_parameters():
            if "lora_" in parameter_name:
                parameter.data.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
        table, alike = policy.parameter_table(), policy.sees_alike
        for layer in policy.hf_model.get_decoder().layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(policy, mesh=mesh)
        assert is_sharded(policy.parameters())
        assert (policy.parameter_table(), policy.sees_alike) == (table, alike)
        assert bool(whole_weights(policy)) == (own == 0)
        policy.export(folder / name)
    print(f"rank {own} is done")

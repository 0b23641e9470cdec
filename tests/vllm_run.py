"""A run that samples from a server: ``python vllm_run.py STRATEGY CHECKPOINT FOLDER ADDRESS``."""

import sys
from pathlib import Path

import torch
from sharded_run import STRATEGIES
from sharding import Partial, sgd, train
from torch.distributed import destroy_process_group

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.distributed import rank, whole_weights
from vrft_pl.modules import GRPOModule
from vrft_pl.policy import VLM
from vrft_pl.rollout import SamplingParams, VLLMSampler

ENDS = tuple(range(20, 150))
"""Tokens that end a completion: one comes soon, now here and now there."""


def grpo(checkpoint, address, rollout_ahead=0, **kwargs):
    policy = VLM(checkpoint, max_pixels=1024)
    policy.codec.end_token_ids = ENDS
    module = GRPOModule(
        [Partial()],
        policy=policy,
        loss=GRPOLoss("token"),
        group_size=4,
        params=SamplingParams(8),
        optimizer=sgd,
        sampler=VLLMSampler([address], probes=2),
        rollout_ahead=rollout_ahead,
    )
    return train(module, **kwargs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    strategy, checkpoint, folder, address = *sys.argv[1:3], Path(sys.argv[3]), sys.argv[4]
    module = grpo(checkpoint, address, strategy=STRATEGIES[strategy], devices=2)
    weights = whole_weights(module.policy)
    if rank() == 0:
        torch.save(weights, folder / "weights.pt")
    destroy_process_group()

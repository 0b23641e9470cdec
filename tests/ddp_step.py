"""One optimizer step on two processes: ``python ddp_step.py CHECKPOINT FOLDER``."""

import sys
from pathlib import Path

import torch
from training import FixedSampler, counting, fit, grpo, weights

from vrft_pl.algorithms import GRPOLoss

if __name__ == "__main__":
    torch.set_num_threads(1)
    module = grpo(sys.argv[1], sampler=FixedSampler(), loss=GRPOLoss("token"))
    trainer = fit(module, counting(batch_size=1), devices=2, strategy="ddp", accumulate_grad_batches=2)
    assert trainer.global_step == 1
    torch.save(weights(module), Path(sys.argv[2]) / f"rank{trainer.global_rank}.pt")

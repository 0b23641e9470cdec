"""Short runs on two processes: ``python ddp_step.py step|whole|resumed CHECKPOINT FOLDER``."""

import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from training import FixedSampler, counting, fit, grpo, weights

from vrft_pl.algorithms import GRPOLoss

if __name__ == "__main__":
    torch.set_num_threads(1)
    task, checkpoint, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    ranks = {"devices": 2, "strategy": "ddp"}
    if task == "step":
        module = grpo(checkpoint, sampler=FixedSampler(), loss=GRPOLoss("token"))
        trainer = fit(module, counting(batch_size=1), accumulate_grad_batches=2, **ranks)
        assert trainer.global_step == 1
    else:
        module = grpo(checkpoint, num_iterations=3)
        keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1)
        ranks |= {"callbacks": [keep], "enable_checkpointing": True} if task == "whole" else {}
        ckpt_path = None if task == "whole" else str(folder / "step=2.ckpt")
        trainer = fit(module, counting(size=8), ckpt_path, **ranks)
        assert trainer.global_step == 6
    torch.save(weights(module), folder / f"{task}{trainer.global_rank}.pt")

"""Short runs on two processes: ``python ddp_step.py step|zero2|eval|whole|resumed CHECKPOINT FOLDER``."""

import os
import sys
from pathlib import Path

os.environ["DS_ACCELERATOR"] = "cpu"

import torch
from evaluation import evaluate, uneven
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy
from training import FixedSampler, counting, fit, grpo, weights

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import PredictionWriter


class CPUDeepSpeed(DeepSpeedStrategy):
    """Lightning's strategy without its check for a GPU."""

    def setup_environment(self):
        DDPStrategy.setup_environment(self)

    def setup_distributed(self):
        import deepspeed

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # gloo does; a compiler takes a minute or more
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    @property
    def root_device(self):
        return torch.device("cpu", 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    task, checkpoint, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    ranks = {"devices": 2, "strategy": "ddp"}
    if task == "zero2":
        ranks["strategy"] = CPUDeepSpeed(stage=2, process_group_backend="gloo", logging_batch_size_per_gpu=1)
    if task in ("step", "zero2"):
        module = grpo(checkpoint, sampler=FixedSampler(), loss=GRPOLoss("token"))
        trainer = fit(module, counting(batch_size=1), accumulate_grad_batches=2, **ranks)
        assert trainer.global_step == 1
    elif task == "eval":
        module, rows = uneven(checkpoint)
        writer = {"callbacks": [PredictionWriter()], "default_root_dir": folder}
        numbers = evaluate(module, rows, **ranks, **writer)
        torch.save(numbers, folder / f"eval{module.global_rank}.pt")
        sys.exit()
    else:
        module = grpo(checkpoint, num_iterations=3)
        keep = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1)
        ranks |= {"callbacks": [keep], "enable_checkpointing": True} if task == "whole" else {}
        ckpt_path = None if task == "whole" else str(folder / "step=2.ckpt")
        trainer = fit(module, counting(size=8), ckpt_path, **ranks)
        assert trainer.global_step == 6
    torch.save(weights(module), folder / f"{task}{trainer.global_rank}.pt")

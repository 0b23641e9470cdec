"""Short runs on two processes: ``python ddp_step.py TASK CHECKPOINT FOLDER``; tasks are named at the end."""

import os
import sys
from datetime import timedelta
from pathlib import Path

os.environ["DS_ACCELERATOR"] = "cpu"

import torch
from checkpoints import loaded
from evaluation import evaluate, uneven
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy
from looping import loop_of_ranks
from training import FixedSampler, Half, counting, fit, grpo, half_blind, run, weights

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import HFExport, PredictionWriter
from vrft_pl.data import CountingScenes


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
    deepspeed = {"process_group_backend": "gloo", "logging_batch_size_per_gpu": 1}
    if task == "zero2":
        ranks["strategy"] = CPUDeepSpeed(stage=2, **deepspeed)
    if task in ("step", "zero2"):
        module = grpo(checkpoint, sampler=FixedSampler(), loss=GRPOLoss("token"))
        trainer = fit(module, counting(batch_size=1), accumulate_grad_batches=2, **ranks)
        assert trainer.global_step == 1
    elif task.startswith("text"):
        stage3 = CPUDeepSpeed(stage=3, **deepspeed) if task.endswith("zero3") else None
        ranks["strategy"] = stage3 or DDPStrategy(timeout=timedelta(seconds=60))
        ranks |= {"callbacks": [HFExport()], "logger": CSVLogger(folder, "run", "0")} if stage3 else {}
        module = half_blind(task.split("-")[1], checkpoint)
        trainer = fit(module, Half(CountingScenes(size=2, image_size=32), batch_size=1, style="answer"), **ranks)
        if stage3:
            assert module.policy.parameter_table() == loaded(checkpoint).parameter_table()
            assert not module.policy.sees_alike
            sys.exit()
    elif task.startswith("run"):
        module = run(task.split("-")[1], checkpoint)
        trainer = fit(module, counting(size=7, batch_size=1), max_epochs=2, **ranks)
    elif task.startswith("loop"):
        module, _ = loop_of_ranks(checkpoint, task.split("-")[1], **ranks, ranks=2)
        trainer = module.trainer
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

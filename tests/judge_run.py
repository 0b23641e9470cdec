"""A run of processes whose completions a judge marks: ``python judge_run.py CHECKPOINT ADDRESS RANKS OUTPUT``."""

import json
import sys
from pathlib import Path

import torch
from training import Share, counting, fit, grpo

from vrft_pl.distributed import rank
from vrft_pl.rewards import JudgeReward

if __name__ == "__main__":
    torch.set_num_threads(1)
    checkpoint, address, ranks, output = sys.argv[1:]
    judge = JudgeReward("some", address, reads="completion", backoff=0.0, time_limit=60.0)
    module = grpo(checkpoint, rewards=[Share(), judge])
    fit(module, counting(size=4, batch_size=1), devices=int(ranks), strategy="ddp")
    spent = module.spent()["JudgeReward"]  # every rank is asked
    if rank() == 0:
        Path(output).write_text(json.dumps({"all": spent, "own": dict(judge.spent)}))

"""One side of the comparison: `GRPOModule`, with the defaults that a user gets.

python tools/bench/ours.py FOLDER STEPS WARMUP OUTPUT
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from lightning import LightningModule, Trainer

from bench.case import Case
from bench.measure import ADAMW, CLIP_NORM, Clock, score
from vrft_pl.algorithms import GRPOLoss
from vrft_pl.answers import AnswerFrame
from vrft_pl.callbacks import RolloutCallback
from vrft_pl.data import Counting, ReasonJSON
from vrft_pl.modules import GRPOModule
from vrft_pl.policy import VLM
from vrft_pl.rewards import Reward
from vrft_pl.rollout import SamplingParams
from vrft_pl.types import Experience, Sample


class Score(Reward):
    """The reward of both sides."""

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float:
        """Score the text alone."""
        return score(text)


class Endless(VLM):
    """Knows no end token, so that every completion has the full length."""

    end_token_ids = ()


class Stopwatch(RolloutCallback):
    """Reads the phases of a step."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.num_tokens, self.prompt_tokens = clock, 0, 0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock when the model is ready."""
        self.clock.start()

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Take the phases that the module measured itself."""
        beside = experience.reference_logprobs is not None  # rewards are then judged while the reference runs
        for name in ("rollout", "reference") if beside else ("rollout", "reward", "reference"):
            self.clock.add(name, experience.seconds[name])
        self.num_tokens = int(experience.completions.mask.sum())
        self.prompt_tokens = max(prompt.num_tokens for prompt in experience.prompts)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """End a step with its last micro-batch."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.clock.step()


def main(folder: Path, steps: int, warmup: int, output: Path) -> None:
    """Run the steps and save what they took."""
    warnings.filterwarnings("ignore")
    case = Case.read(folder / "case.json")
    torch.manual_seed(0)
    policy = Endless(str(folder / "checkpoint"), dtype=case.dtype)  # type: ignore[arg-type]
    module = GRPOModule(
        [Score()],
        policy=policy,
        loss=GRPOLoss(kl_coefficient=case.kl),
        group_size=case.group,
        params=SamplingParams(case.completion),
        optimizer=partial(torch.optim.AdamW, **ADAMW),
    )
    task = Counting(ReasonJSON(str(folder / "rows.json")), batch_size=case.prompts // case.accumulate, style="answer")
    clock = Clock(case.device, warmup)
    watch = Stopwatch(clock)
    trainer = Trainer(
        accelerator="gpu" if case.device == "cuda" else "cpu",
        devices=1,
        max_steps=steps + warmup,
        gradient_clip_val=CLIP_NORM,
        accumulate_grad_batches=case.accumulate,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=task)
    clock.save(output, watch.num_tokens, watch.prompt_tokens)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))

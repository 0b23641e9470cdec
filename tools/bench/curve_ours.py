"""One side of the learning curve: `GRPOModule`, set as in `configs/quickstart.yaml`.

python tools/bench/curve_ours.py SEED STEPS OUTPUT
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lightning import LightningModule, Trainer, seed_everything
from torch.optim import AdamW

from bench.curve import ADAMW, CLIP_NORM, FORMAT_WEIGHT, GROUP, MAX_TOKENS, SCHEDULE, Recorder, build_task
from vrft_pl.callbacks import RolloutCallback
from vrft_pl.modules import GRPOModule, WarmupDecay
from vrft_pl.policy import VLM
from vrft_pl.rewards import Format, NumberMatch
from vrft_pl.rollout import SamplingParams
from vrft_pl.types import Experience


class Watch(RolloutCallback):
    """Tells the recorder of each step."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.reward = recorder, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock when the model is ready."""
        self.recorder.start()

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Take the reward of what was written."""
        self.reward = float(experience.rewards.mean())

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """End a step."""
        self.recorder.step(self.reward)


def main(seed: int, steps: int, output: Path) -> None:
    """Train, and save the curve."""
    warnings.filterwarnings("ignore")
    seed_everything(seed, verbose=False)
    policy = VLM("tiny")
    module = GRPOModule(
        [NumberMatch(), Format(weight=FORMAT_WEIGHT)],
        policy=policy,
        group_size=GROUP,
        params=SamplingParams(MAX_TOKENS),
        optimizer=partial(AdamW, **ADAMW),
        scheduler=partial(WarmupDecay, **SCHEDULE),
        seed=seed,
    )
    recorder = Recorder(seed, steps, lambda: policy.hf_model.state_dict())
    Trainer(
        accelerator="cpu", max_steps=steps, gradient_clip_val=CLIP_NORM, callbacks=[Watch(recorder)], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    ).fit(module, datamodule=build_task(seed))  # fmt: skip
    recorder.save(output)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

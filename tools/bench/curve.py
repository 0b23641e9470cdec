"""What both sides of the learning curve share: weights, rows, reward, settings, the clock and the held-out rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from vrft_pl.data import Counting, CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.policy import VLM
from vrft_pl.rewards import Format, NumberMatch
from vrft_pl.rollout import SamplingParams
from vrft_pl.types import Sample

PROMPTS, GROUP, MAX_TOKENS, CLIP_NORM = 16, 8, 32, 1.0
EVAL_EVERY = 10
"""Optimizer steps between two looks at the held-out rows; the clock stands still meanwhile."""
FORMAT_WEIGHT = 0.5
ADAMW: dict[str, Any] = {"lr": 2e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}
SCHEDULE: dict[str, Any] = {"warmup_steps": 5, "decay": "linear", "final": 0.1}


def build_task(seed: int, held_out: bool = False) -> Counting:
    """The quickstart's rows: 1600 scenes of a domain that the embedded policy never saw; or 384 held-out ones."""
    if held_out:
        return Counting(val={"snow": CountingScenes("snow", 384)}, eval_batch_size=128, seed=seed)
    return Counting(CountingScenes("snow", 1600), batch_size=PROMPTS, seed=seed)


def reward(text: str, sample: Sample) -> float:
    """The quickstart's reward of one completion."""
    match, form = NumberMatch().grade_one(text, sample, None), Format().grade_one(text, sample, None)
    return (match if isinstance(match, float) else 0.0) + FORMAT_WEIGHT * (form if isinstance(form, float) else 0.0)


class Recorder:
    """Writes down the reward of each step, the seconds of training, and from time to time the held-out accuracy.

    Args:
        seed: Seed of the run.
        steps: Its length in optimizer steps.
        weights: Hands over the weights as they are.
    """

    def __init__(self, seed: int, steps: int, weights: Callable[[], dict[str, torch.Tensor]]) -> None:
        self.task, self.steps, self.weights = build_task(seed, held_out=True), steps, weights
        params = SamplingParams(MAX_TOKENS, temperature=0.0)
        self.policy = VLM("tiny")
        self.judge = SFTModule(policy=self.policy, metrics=[NumberMatch()], eval_params=params)
        self.evaluator = Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        self.rewards: list[float] = []
        self.seconds: list[float] = []
        self.accuracy: dict[int, float] = {}
        self._spent, self._since = 0.0, 0.0

    def start(self) -> None:
        """Judge the weights as they are, and start the clock."""
        self._judge(0)
        self._since = time.perf_counter()

    def step(self, reward: float) -> None:
        """End an optimizer step whose completions had this mean reward."""
        self._spent += time.perf_counter() - self._since
        self.rewards.append(reward)
        self.seconds.append(self._spent)
        if len(self.rewards) % EVAL_EVERY == 0 or len(self.rewards) == self.steps:
            self._judge(len(self.rewards))
        self._since = time.perf_counter()

    def save(self, path: Path) -> None:
        """Save the curve."""
        seconds, accuracy = [round(s, 3) for s in self.seconds], {i: round(a, 4) for i, a in self.accuracy.items()}
        told = {"rewards": self.rewards, "seconds": seconds, "accuracy": accuracy}
        path.write_text(json.dumps(told))

    def _judge(self, step: int) -> None:
        """Greedy accuracy on the held-out rows, with the random numbers of training left as they are."""
        with torch.random.fork_rng(devices=[]):
            self.judge.configure_model()
            self.policy.hf_model.load_state_dict(self.weights())
            (scores,) = self.evaluator.validate(self.judge, datamodule=self.task, verbose=False)
        self.accuracy[step] = next(value for key, value in scores.items() if key.endswith("/NumberMatch"))

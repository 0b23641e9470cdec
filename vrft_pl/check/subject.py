"""What a check works on, and what its steps learn for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn

from vrft_pl.check.meter import PromptMeter
from vrft_pl.check.options import CheckOptions
from vrft_pl.check.rows import Row
from vrft_pl.check.section import TrainerSection
from vrft_pl.data import SampleData
from vrft_pl.modules.base import PolicyModule
from vrft_pl.policy import VLM
from vrft_pl.rewards import Reward
from vrft_pl.rewards.panel import rewards_of
from vrft_pl.runs import RunFolder
from vrft_pl.types import Completions, Sample


@dataclass(frozen=True)
class Sampled:
    """What the policy wrote to a few training prompts."""

    samples: tuple[Sample, ...]
    """Length ``P``."""
    completions: Completions
    """Length ``N``."""
    scores: dict[str, Tensor]
    """By the name of the reward, each of shape ``(N,)``."""


@dataclass
class Subject:
    """What is checked."""

    module: PolicyModule
    task: SampleData
    trainer: Trainer
    """Stands in for that of the run: knows device, precision and length; trains nothing."""
    section: TrainerSection
    options: CheckOptions
    folder: RunFolder
    """Where pictures go."""
    meter: PromptMeter
    rows: list[Row] = field(default_factory=list)
    """Filled by the step that reads the data."""
    sampled: Sampled | None = None
    """Filled by the step that samples."""

    @property
    def policy(self) -> VLM:
        """The policy."""
        return self.module.policy

    @property
    def good(self) -> list[Row]:
        """Rows that can be read."""
        return [row for row in self.rows if row.sample is not None]

    @property
    def rewards(self) -> list[Reward]:
        """Rewards that judge held-out completions, alone or inside a metric, and those that train; one of each name."""
        judging = rewards_of(self.module.metrics).values()
        return list({reward.name: reward for reward in [*judging, *self.module.rewards]}.values())

    def refusal(self, strategy: Strategy | str) -> str | None:
        """What `fit` would say of a strategy; ``None`` where it would run."""
        return self.module.refusal(strategy, "fit", self.task, self.trainer.limit_val_batches)

    @contextmanager
    def precision(self) -> Iterator[None]:
        """The precision of the run's forward passes."""
        with self.trainer.precision_plugin.forward_context():
            yield


@contextmanager
def preserved(module: nn.Module) -> Iterator[None]:
    """Give weights, buffers and the random state back as they were, bit for bit."""
    # what is frozen can only be moved or cast, which leaves the tensor that is kept here as it is
    weights = [(p, p.data.clone() if p.requires_grad else p.data) for p in module.parameters()]
    buffers = [(m, name, b, b.clone()) for m in module.modules() for name, b in m._buffers.items() if b is not None]
    state = torch.get_rng_state()
    try:
        yield
    finally:
        for parameter, data in weights:
            parameter.data, parameter.grad = data, None
        for owner, name, buffer, data in buffers:
            buffer.data = data
            owner._buffers[name] = buffer
        torch.set_rng_state(state)

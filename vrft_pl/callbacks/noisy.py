"""A part of each group sees less well than the policy that is trained on it."""

from __future__ import annotations

import math

from lightning.pytorch import LightningModule, Trainer

from vrft_pl.data.distorted import DIFFUSION_STEPS, noisy
from vrft_pl.rollout import RolloutCallback
from vrft_pl.rollout.hooks import CollectsMore, Run, View, insist_on_more
from vrft_pl.types import Experience, InputError, Sample


class NoisyRollout(RolloutCallback):
    """Samples a part of each group from pictures under noise, which is annealed; the update sees the clean picture.

    NoisyRollout (https://arxiv.org/abs/2504.13055, eq. 2 to 4): rewards and advantages are those of the whole group,
    and every log-prob of the update is given the clean picture. The noise is that of forward diffusion at step
    ``strength * (1 - sigmoid(steepness * (t / T - middle)))`` of 1000 at optimizer step ``t`` of ``T``. Deviations: it
    is drawn by the row, the step and the run's seed, so that a resumed run and one on more processes see the same; and
    the middle is a share of the run. Logs ``train/noise``, the factor of ``strength``.

    Args:
        share: Share of each group that sees noise; at least one completion does, and one does not.
        strength: Step of forward diffusion, of 1000, that the noise starts from.
        middle: Share of the run after which the noise is halved.
        steepness: Of the sigmoid.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, share: float = 0.5, strength: int = 500, middle: float = 2 / 3, steepness: float = 30.0) -> None:
        if not 0 < share < 1:
            raise ValueError(f"Expected `share` to be between 0 and 1, but got {share}.")
        if not 0 < strength < DIFFUSION_STEPS:
            raise ValueError(f"Expected `strength` to be from 1 to {DIFFUSION_STEPS - 1} steps, but got {strength}.")
        if not 0 < steepness < float("inf"):
            raise ValueError(f"Expected `steepness` to be above 0, but got {steepness}.")
        if not 0 <= middle <= 1:
            raise ValueError(f"Expected `middle` to be a share of the run, from 0 to 1, but got {middle}.")
        self.share, self.strength, self.middle, self.steepness = share, strength, middle, steepness

    def insist(self, run: Run, module: LightningModule) -> None:
        """Refuse a module that collects no rollouts, or begins to before it is their turn."""
        insist_on_more(module, self)
        if getattr(module, "rollout_ahead", 0):
            raise InputError("Expected `rollout_ahead: 0` with NoisyRollout, but got 1.")

    def on_rollout_views(
        self, trainer: Trainer, module: LightningModule, samples: list[Sample], group_size: int
    ) -> list[View] | None:
        """Show a part of each group the pictures under noise."""
        assert isinstance(module, CollectsMore)
        step = int(self.strength * self.factor(self._done(trainer)))
        if not step:
            return None
        size = min(max(1, round(self.share * group_size)), group_size - 1)
        key = "noise", module.seed, trainer.global_step
        seen = [noisy(sample, step, *key) for sample in samples]
        return [View(samples, group_size - size), View(seen, size)]

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Log how much noise there was."""
        assert isinstance(module, CollectsMore)
        module.note({"train/noise": self.factor(self._done(trainer))})

    def factor(self, done: float) -> float:
        """Share of the strength after a share of the run.

        Example:
            >>> [round(NoisyRollout().factor(done), 3) for done in (0.0, 2 / 3, 1.0)]
            [1.0, 0.5, 0.0]
        """
        return 1 - 1 / (1 + math.exp(-self.steepness * (done - self.middle)))

    @staticmethod
    def _done(trainer: Trainer) -> float:
        """Share of the run that is done."""
        steps = trainer.estimated_stepping_batches
        if steps == math.inf:
            raise InputError("Expected a run with an end for NoisyRollout. Set `trainer.max_steps` or `max_epochs`.")
        return trainer.global_step / steps

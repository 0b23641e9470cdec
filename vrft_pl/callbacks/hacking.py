"""The reward rises, and what it stands for falls."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from scipy import stats

from vrft_pl.callbacks.checkpoint import between_optimizer_steps
from vrft_pl.callbacks.cost import counted_as_evaluation
from vrft_pl.callbacks.judging import judged, spread
from vrft_pl.callbacks.subset import Writes
from vrft_pl.data import SampleData
from vrft_pl.distributed import mean_over_ranks
from vrft_pl.metrics.constant import heeds_answers
from vrft_pl.rewards import Judge
from vrft_pl.rollout import RolloutCallback
from vrft_pl.types import Experience, InputError, Sample

_SIGN = 0.5
"""Level at which the test asks for no more than the sign of the slope."""


class Point(NamedTuple):
    """One time that the held-out samples were judged."""

    step: int
    """Optimizer steps done."""
    reward: float
    """Mean training reward of the rollouts since the time before."""
    held_out: float
    """The held-out metric."""


def rises(values: list[float], level: float) -> bool:
    """Whether the least-squares slope over evenly spaced times is above 0, by a one-sided t test.

    Args:
        values: At least three.
        level: Share of false alarms where there is no slope and deviations are independent and normal.

    Example:
        >>> rises([0.1, 0.2, 0.2, 0.4], 0.05), rises([0.1, 0.2, 0.0, 0.3], 0.05), rises([0.1, 0.1, 0.1], 0.05)
        (True, False, False)
    """
    if np.ptp(values) == 0:
        return False
    return bool(stats.linregress(range(len(values)), values, alternative="greater").pvalue < level)


class RewardHackingAlarm(RolloutCallback):
    """Warns when the training reward rises while a held-out metric falls.

    Every ``every_n_steps`` optimizer steps it judges the same held-out samples and takes the mean training reward of
    the rollouts since the time before. An alarm begins where, over the newest ``window`` times, the least-squares slope
    of the reward is above 0 and that of the held-out metric below 0, each by a one-sided t test with ``window`` - 2
    degrees of freedom at ``level``; it ends when one of the slopes changes its sign. Where neither has a trend and they
    are independent, the tests agree by accident at a share of ``level`` squared of the times. Logs
    ``train/reward_hacking`` (1 while there is an alarm, else 0) and ``val/watched/<part>/<Name>``, and warns once when
    an alarm begins. What it remembers is in checkpoints; training is the same with and without it, to the bit. A module
    without rollouts is left alone.

    Args:
        metric: Name of the metric of the module that is watched, best one that the policy is not trained on. Defaults
            to the first that heeds answers and judges one of the samples.
        part: Name of the validation part that is watched. Defaults to the first.
        num_samples: Most samples of the part that are judged, spread evenly over it.
        every_n_steps: Optimizer steps between two times.
        window: Times that a trend is read from.
        level: Of each of the two tests.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        metric: str | None = None,
        part: str | None = None,
        num_samples: int = 64,
        every_n_steps: int = 10,
        window: int = 5,
        level: float = 0.05,
    ) -> None:
        if min(num_samples, every_n_steps) < 1 or window < 3:
            raise ValueError(
                "Expected `num_samples` and `every_n_steps` to be at least 1 and `window` to be at least 3, "
                f"but got {num_samples}, {every_n_steps} and {window}."
            )
        if not 0 < level < 1:
            raise ValueError(f"Expected `level` to be a share between 0 and 1, but got {level}.")
        self.metric, self.part, self.num_samples = metric, part, num_samples
        self.every_n_steps, self.window, self.level = every_n_steps, window, level
        self.points: list[Point] = []
        self.sounding = False
        self._rewards: list[float] = []
        self._samples: list[Sample] = []
        self._judge: Judge | None = None

    @property
    def state_key(self) -> str:
        """Apart from alarms that watch something else."""
        return self._generate_state_key(metric=self.metric, part=self.part)

    def state_dict(self) -> dict[str, Any]:
        """What trends are read from, and whether there is an alarm."""
        points = [list(point) for point in self.points]
        return {"points": points, "rewards": list(self._rewards), "sounding": self.sounding}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.points = [Point(*point) for point in state_dict["points"]]
        self._rewards, self.sounding = list(state_dict["rewards"]), state_dict["sounding"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose what is watched.

        Raises:
            InputError: If the run has no such metric or part, or the metric judges none of the samples.
        """
        task = getattr(trainer, "datamodule", None)
        parts = task.datasets("val") if isinstance(task, SampleData) and trainer.limit_val_batches else {}
        if not isinstance(pl_module, Writes) or not parts:
            self._judge = None
            return
        self._part = chosen("part", self.part, list(parts))
        self._samples = spread(parts[self._part], self.num_samples)
        judges = [metric for metric in pl_module.metrics if any(metric.judges(sample) for sample in self._samples)]
        metrics = {metric.name: metric for metric in judges if heeds_answers(metric) or self.metric}
        self._metric = chosen("metric", self.metric, list(metrics))
        self._judge = metrics[self._metric]

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Take the mean reward of a window, over all ranks."""
        self._rewards.append(mean_over_ranks(experience.rewards.float().mean()).item())

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Judge when it is due, an optimizer step has just ended and there were rollouts."""
        due = trainer.global_step % self.every_n_steps == 0 and between_optimizer_steps(trainer)
        if due and self._judge is not None and self._rewards and isinstance(pl_module, Writes):
            with counted_as_evaluation(trainer, pl_module):
                scores = judged(trainer, pl_module, self._samples, f"watched/{self._part}", [self._judge])
            if scores:  # Lightning takes a StopIteration of no number for the end of the epoch
                self._take(trainer, scores)

    def _take(self, trainer: Trainer, scores: dict[str, float]) -> None:
        """Add a point, and say what follows of it."""
        assert self._judge is not None
        name = self._metric if self._metric in scores else next(iter(scores))
        sign = -1 if self._judge.higher_is_better is False else 1
        point = Point(trainer.global_step, sum(self._rewards) / len(self._rewards), scores[name])
        self._rewards, self.points = [], [*self.points, point][-self.window :]
        before, self.sounding = self.sounding, self._is_hacked(sign)
        if self.sounding and not before:
            rank_zero_warn(self._sentence(f"val/watched/{self._part}/{name}"))
        numbers = {"train/reward_hacking": float(self.sounding), f"val/watched/{self._part}/{name}": point.held_out}
        for logger in trainer.loggers:
            # beside the training step it comes after, with which it is cut back
            logger.log_metrics(numbers, max(trainer.global_step - 1, 0))

    def _is_hacked(self, sign: int) -> bool:
        """Whether there is an alarm; more of the held-out metric is better where ``sign`` is 1, less where it is -1."""
        full, level = len(self.points) == self.window, _SIGN if self.sounding else self.level
        rewards, worse = [p.reward for p in self.points], [-sign * p.held_out for p in self.points]
        return full and rises(rewards, level) and rises(worse, level)

    def _sentence(self, name: str) -> str:
        first, last = self.points[0], self.points[-1]
        return (
            f"The training reward rises while what is held out gets worse, from step {first.step} to {last.step}: "
            f"train/reward from {first.reward:.3f} to {last.reward:.3f}, {name} from {first.held_out:.3f} to "
            f"{last.held_out:.3f}. Look at completions.jsonl: the policy may have found what the reward pays for."
        )


def chosen(what: str, wanted: str | None, known: list[str]) -> str:
    """The wanted name, or the first that is known.

    Raises:
        InputError: If it is not known, or none is.
    """
    if not known or wanted not in (None, *known):
        raise InputError(f"Expected `{what}` of RewardHackingAlarm to be one of {known}, but got {wanted!r}.")
    return known[0] if wanted is None else wanted

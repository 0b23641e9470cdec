"""Rows that the policy solves sometimes come more often."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import Dataset

from vrft_pl.callbacks.dynamic import DynamicSampling
from vrft_pl.callbacks.success import Success
from vrft_pl.data import SampleData
from vrft_pl.data.samples import row_of, stored_blocks
from vrft_pl.data.weighted import WeightedRows
from vrft_pl.distributed import DataShare, gather
from vrft_pl.rollout import RolloutCallback
from vrft_pl.rollout.hooks import CollectsMore, Run, insist_on_more, listening
from vrft_pl.types import Experience, InputError, Sample


class Curriculum(RolloutCallback):
    """Draws rows by the success rates that training measures, most often those within a band.

    The rate of a row is the share of its group that is right, averaged over the times that it was drawn, the newest
    counting most. Rows with a rate from ``low`` to ``high``, and those that were never drawn, have weight 1, all others
    ``outside``. Prioritised sampling of Kimi k1.5 (https://arxiv.org/abs/2501.12599, sec. 2.3.4) with the band of
    online difficulty filtering (https://arxiv.org/abs/2504.03380). Deviations: weights fall off at the edges of a band
    and do not rise with difficulty, for what is never solved has no gradient; and rates come from training alone, no
    completion is sampled for them.

    An epoch has as many rows as ever, drawn window by window. What is drawn depends on the seed of the data and the
    rates, and is the same on any number of processes. Logs ``train/in_band`` (share of the groups of a window whose
    new rate is in the band) and ``train/measured_rows`` (share of all rows).

    Args:
        low: Lowest success rate of the band.
        high: Highest success rate of the band.
        outside: Weight of measured rows outside of the band; above 0, for rates change while a policy learns.
        memory: Share of the old rate in the new one; 0 keeps only the newest.
        right: Score from which a completion counts as right.
        reward: Name of the reward whose score is meant. Defaults to the first that reads answers and judges the row.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        low: float = 0.2,
        high: float = 0.8,
        outside: float = 0.1,
        memory: float = 0.5,
        right: float = 0.5,
        reward: str | None = None,
    ) -> None:
        if not 0 <= low <= high <= 1:
            raise ValueError(f"Expected 0 <= `low` <= `high` <= 1, but got {low} and {high}.")
        if not 0 < outside <= 1:
            raise ValueError(f"Expected `outside` to be above 0 and at most 1, but got {outside}.")
        if not 0 <= memory < 1:
            raise ValueError(f"Expected `memory` to be from 0 to below 1, but got {memory}.")
        self.low, self.high, self.outside, self.memory = low, high, outside, memory
        self.success = Success(right, reward)
        self.rates = np.zeros(0)
        """Success rate of each row; NaN for one that was never drawn."""
        self.rows: WeightedRows | None = None
        """The rows as they are drawn, once there is a loader."""
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """All rates, and what the epoch has drawn."""
        drawn = None if self.rows is None else self.rows.state_dict()
        return {"rates": torch.from_numpy(self.rates.copy()), "drawn": drawn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there once there is a loader."""
        self._loaded = state_dict

    def insist(self, run: Run, module: LightningModule) -> None:
        """Refuse a module without rollouts or rewards to measure by, and groups dropped before they are measured."""
        insist_on_more(module, self)
        before = listening(run)[: listening(run).index(self)]
        if any(isinstance(callback, DynamicSampling) for callback in before):
            raise InputError("Expected Curriculum before DynamicSampling, which drops groups. Exchange the two.")
        self.success.choose(module, self)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take over the order of the training rows.

        Raises:
            InputError: If there is nothing to measure or to draw.
        """
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, SampleData):
            raise InputError(f"Expected the data of a task for Curriculum, but got {type(data).__name__}.")
        self._data, data.order = data, self.order

    def order(self, samples: Dataset[Sample], share: DataShare) -> WeightedRows:
        """Deal rows to train on out to ranks, by weight; in place of `SampleData.shuffled`.

        Raises:
            InputError: If rows are streamed, or a checkpoint has other ones.
        """
        if stored_blocks(samples) is not None:
            raise InputError("Expected rows that can be read in any order for Curriculum, but got a stream.")
        num_rows = len(samples)  # type: ignore[arg-type]  # sized
        generator = torch.Generator().manual_seed(self._data.seed)
        self.rates = np.full(num_rows, np.nan)
        self.rows = WeightedRows(self.weights, generator, num_rows, self._data.batch_size, *share)
        if self._loaded is not None:
            rates = self._loaded["rates"].numpy()
            if len(rates) != num_rows:
                raise InputError(f"Expected the {len(rates)} rows of the checkpoint, but got {num_rows}.")
            self.rates = rates.copy()
            self.rows.load_state_dict(self._loaded["drawn"])
            self._loaded = None
        return self.rows

    def weights(self) -> np.ndarray:
        """How often each row should come now. Shape ``(num_rows,)``."""
        return np.where(np.isnan(self.rates) | self._in_band(self.rates), 1.0, self.outside)

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Take the success rates of a window, over all ranks."""
        measured = [pair for own in gather(self.measure(experience)) for pair in own]
        for row, rate in sorted(measured):
            old = self.rates[row]
            self.rates[row] = rate if np.isnan(old) else self.memory * old + (1 - self.memory) * rate
        if measured:
            inside = self._in_band(np.array([rate for _, rate in measured]))
            seen = ~np.isnan(self.rates)
            numbers = {"train/in_band": float(inside.mean()), "train/measured_rows": float(seen.mean())}
            cast(CollectsMore, module).note(numbers)

    def measure(self, experience: Experience) -> list[tuple[int, float]]:
        """Row and share of right completions of each group that is judged."""
        rates = zip(experience.samples, self.success.rates(experience), strict=True)
        return [(row_of(sample), rate) for sample, rate in rates if rate is not None]

    def _in_band(self, rates: np.ndarray) -> np.ndarray:
        return (rates >= self.low) & (rates <= self.high)

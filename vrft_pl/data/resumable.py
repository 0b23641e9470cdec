"""A loader that goes on where a checkpoint stopped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from vrft_pl.data.randomness import random_state, set_random_state
from vrft_pl.distributed import gather_states, own_state

SEED_STEP = 100_003
"""What a seed is multiplied by before the epoch is added, so that neighbouring seeds share no order."""


def used_batches(batches: int, limit: int | float) -> int:
    """How many of an epoch's batches Lightning uses under ``limit_train_batches``.

    Example:
        >>> used_batches(8, 1), used_batches(8, 1.0), used_batches(8, 0.5)
        (1, 8, 4)
    """
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


class ResumableLoader:
    """Yields the batches of a DataLoader in an order that depends on its seed and the epoch alone, and has a state.

    Args:
        samples: The loader; its sampler shuffles by a ``generator`` of its own or by epoch.
    """

    limit: int | float = 1.0
    """Batches of an epoch that are used, or their share (``trainer.limit_train_batches``)."""

    def __init__(self, samples: DataLoader) -> None:
        self.samples = samples
        self.epoch, self.position = -1, 0
        self._generator: torch.Generator | None = getattr(samples.sampler, "generator", None)
        self._order_seed = 0 if self._generator is None else self._generator.initial_seed() * SEED_STEP
        self._loaded: dict[str, Any] | None = None

    def __len__(self) -> int:
        """Batches an epoch has, used or not."""
        return len(self.samples)

    def counts(self, position: int) -> bool:
        """Whether the batch of samples at a position is more than a filler, of a rank that has one less than others."""
        return not getattr(self.samples.sampler, "pads", False) or position < len(self.samples) - 1

    @property
    def end(self) -> int:
        """Batches an epoch that are used."""
        return used_batches(len(self), self.limit)

    def __iter__(self) -> Iterator[Any]:
        """Start an epoch, or go on where a loaded state stopped."""
        self._start()
        self._loaded = None
        for batch in islice(self.samples, self.position, self.end):
            self.position += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands on every rank; tensors and plain values only. Every rank calls it."""
        return gather_states(self._state())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state at the next call of ``iter``."""
        self._loaded = own_state(state)

    def _state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position, "random": random_state()}

    def _start(self) -> None:
        """Set epoch and position, and the order of samples."""
        if self._loaded is not None:
            self.epoch, self.position = self._loaded["epoch"], self._loaded["position"]
            set_random_state(self._loaded["random"])
        if self._loaded is None or self.epoch < 0 or self.position >= self.end:
            self._loaded, self.position, self.epoch = None, 0, self.epoch + 1
        if self._generator is not None:
            self._generator.manual_seed(self._order_seed + self.epoch)
            # the number that a loader would draw first if it shared the generator: orders stay those of earlier runs
            torch.empty((), dtype=torch.int64).random_(generator=self._generator)

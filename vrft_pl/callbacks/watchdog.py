"""Processes meet before the first step, and none waits for ever for another one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import distributed as dist

from vrft_pl.distributed import Facts, Place, Watchdog, meet, open_store
from vrft_pl.rollout import RolloutCallback
from vrft_pl.types import Experience, InputError

_BROKEN = re.compile(r"gloo|nccl|connection (reset|closed|refused)|broken pipe", re.I)
"""What torch writes when a collective breaks off."""


class RankWatchdog(RolloutCallback):
    """Ends a run of several processes that waits for one of them in vain, and says for which.

    Before the first step each rank has to come in time and to run the same: config, versions, rows. From then on each
    says at every beat that it is alive and what it does. A run of one process has nothing to watch.

    Args:
        enabled: Whether to. Without, torch ends a run that hangs after half an hour and names nobody.
        timeout: Seconds that one phase may take: a rollout, an update, a batch of validation, a checkpoint. Below the
            half hour of torch, which would speak first.
        silence: Seconds that a rank may say nothing, as one that is killed, stopped or cut off does.
        arrival: Seconds in which all ranks have to come, and to make the first all-reduce.

    Raises:
        ValueError: If a time is not positive.
    """

    def __init__(
        self, enabled: bool = True, timeout: float = 1500.0, silence: float = 30.0, arrival: float = 300.0
    ) -> None:
        if min(timeout, silence, arrival) <= 0:
            raise ValueError(
                f"Expected `timeout`, `silence` and `arrival` to be positive, but got {timeout}, {silence} "
                f"and {arrival}."
            )
        self.enabled, self.timeout, self.silence, self.arrival = enabled, timeout, silence, arrival
        self.watchdog: Watchdog | None = None

    def install(self, trainer: Trainer, facts: Callable[[], Facts]) -> None:
        """Meet the other ranks where the strategy joins them.

        Not in a hook of a callback: Lightning's first collective comes before all of them.

        Args:
            trainer: The run's.
            facts: What has to be the same on every rank, asked when they meet.
        """
        strategy, join = trainer.strategy, trainer.strategy.setup_environment
        if not self.enabled or Place.of(strategy) is None:
            return

        def meet_and_join() -> None:
            if self.watchdog is None:
                self._meet(trainer, facts())
            join()
            self._first_all_reduce(strategy.root_device)
            self._mark(trainer, "setup")

        strategy.setup_environment = meet_and_join  # type: ignore[method-assign]

    def _meet(self, trainer: Trainer, facts: Facts) -> None:
        place = Place.of(trainer.strategy)
        assert place is not None
        children = getattr(trainer.strategy.launcher, "procs", [])
        retire_lightnings_observer()
        try:
            self.store = open_store(place, self.arrival)  # kept: the process group's takes it over
            meet(self.store, place, {"world size": place.world_size, **facts}, self.arrival)
        except InputError:
            for child in children:
                child.kill()
            raise
        times = self.timeout, self.silence
        self.watchdog = Watchdog(
            lambda: open_store(place, self.silence), place.rank, place.world_size, *times, children, place.holder
        )
        self.watchdog.mark("joining the group", 0, self.arrival)
        self.watchdog.start()

    def _first_all_reduce(self, device: torch.device) -> None:
        """Try the network that tensors take, which is not that of the store."""
        if self.watchdog is not None and dist.is_initialized():
            self.watchdog.mark("first all-reduce", 0, self.arrival)
            ones = torch.ones(1, device=device)
            dist.all_reduce(ones)
            assert ones.item() == dist.get_world_size()

    def _mark(self, trainer: Trainer, phase: str) -> None:
        if self.watchdog is not None:
            self.watchdog.mark(phase, trainer.global_step)

    def stop(self) -> None:
        """End the watch: this rank needs no other one any more."""
        if self.watchdog is not None:
            self.watchdog.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Name the rank that broke a collective off, or tell the others that it was this one."""
        if self.watchdog is not None and isinstance(exception, Exception):
            broken = isinstance(exception, RuntimeError) and _BROKEN.search(str(exception)) is not None
            self.watchdog.fail(exception, by_others=broken)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with training."""
        self._mark(trainer, "training")

    def on_rollout_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin with a rollout."""
        self._mark(trainer, "rollout")

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """End a rollout."""
        self._mark(trainer, "after rollout")

    def on_train_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Begin with a micro-batch."""
        self._mark(trainer, "update")

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """End a micro-batch."""
        self._mark(trainer, "after update")

    def on_validation_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Begin with a batch of validation."""
        self._mark(trainer, "validation")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a validation."""
        self._mark(trainer, "after validation")

    def on_test_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Begin with a batch of a test."""
        self._mark(trainer, "test")

    def on_predict_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Begin with a batch to write about."""
        self._mark(trainer, "prediction")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Begin with a checkpoint."""
        self._mark(trainer, "checkpoint")


def retire_lightnings_observer() -> None:
    """Leave the processes that Lightning started to the watchdog.

    Lightning's own thread kills all of them, with SIGKILL, up to five seconds after one ended, and so before anybody
    could say which one it was.
    """
    for thread in threading.enumerate():
        if thread.name == "child-process-observer":
            thread._child_processes = []  # type: ignore[attr-defined]  # it ends where all of none ended well

"""Lightning's trainer as a run needs it: its defaults, its numbers of batches, where it writes and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from jsonargparse.typing import register_type
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.accelerators import CUDAAccelerator

from vrft_pl.callbacks import RankWatchdog, StopOnSignal
from vrft_pl.callbacks.preflight import refusals, refusals_of_callbacks
from vrft_pl.data.samples import Split
from vrft_pl.distributed import Facts, launch_refusals
from vrft_pl.modules import PolicyModule
from vrft_pl.rollout.hooks import Run
from vrft_pl.runs import RunFolder, install_checkpoint_io, install_loop
from vrft_pl.trainer.callbacks import refuse_equal
from vrft_pl.types import InputError

CallbackT = TypeVar("CallbackT", bound=Callback)

TRAINER_DEFAULTS = {
    "val_check_interval": 1_000_000,  # evaluated before and after training only
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
}
"""Where a run wants something else than Lightning's own default."""


class Batches(float):
    """A number of batches, or a share of them.

    Not `Union[int, float]`: `typing` may hand out the `Union[float, int]` that another package wrote first, and the
    parser then reads ``1``, one batch, as 1.0, all of them.
    """


def read_batches(value: object) -> int | float:
    """Tell a whole number from a share: ``1`` from ``1.0``."""
    try:
        if isinstance(value, bool):
            raise ValueError
        return int(str(value)) if str(value).isdigit() else float(str(value))
    except ValueError:
        raise ValueError(f"Expected a number of batches or a share of them, but got {value!r}.") from None


register_type(Batches, serializer=read_batches, deserializer=read_batches, type_check=lambda value, _: False)


class RunTrainer(Trainer):
    """Lightning's trainer with `RunLoop`; ends where `StopOnSignal` says, and not in the middle of an optimizer step.

    Args:
        limit_train_batches: Batches of an epoch that are used, or their share; ``1`` is one batch, ``1.0`` all.
        limit_val_batches: Batches of each validation part, likewise.
        limit_test_batches: Batches of each test part, likewise.
        limit_predict_batches: Batches of each part that ``predict`` reads, likewise.
        overfit_batches: Batches that are trained and validated on again and again, likewise.
        **kwargs: Those of Lightning's ``Trainer``.

    Raises:
        ValueError: If two callbacks keep a state under the same name.
    """

    def __init__(
        self,
        *,
        limit_train_batches: Batches | None = None,
        limit_val_batches: Batches | None = None,
        limit_test_batches: Batches | None = None,
        limit_predict_batches: Batches | None = None,
        overfit_batches: Batches = 0.0,  # type: ignore[assignment]  # a plain number
        **kwargs: Any,
    ) -> None:
        given = kwargs.get("callbacks")
        refuse_equal(given if isinstance(given, list) else [])
        super().__init__(
            limit_train_batches=limit_train_batches,
            limit_val_batches=limit_val_batches,
            limit_test_batches=limit_test_batches,
            limit_predict_batches=limit_predict_batches,
            overfit_batches=overfit_batches,
            **kwargs,
        )
        install_loop(self)

    def refuse(self, module: LightningModule) -> None:
        """Refuse what nothing can be trained with.

        Raises:
            InputError: If the strategy, the callbacks or what they ask of the module do not allow it.
        """
        callbacks: list[Callback] = self.callbacks  # type: ignore[attr-defined]  # set by a connector
        on_gpu = isinstance(self.accelerator, CUDAAccelerator)
        adapts = isinstance(module, PolicyModule) and module.policy.has_adapter
        refused = refusals(self.strategy, on_gpu, callbacks, self.accumulate_grad_batches, adapts)
        for refusal in (*refused, *refusals_of_callbacks(cast(Run, self), module)):
            raise InputError(refusal)

    run_folder: RunFolder | None = None
    """Where the run keeps its files, whichever loggers it has."""

    def keep_in(self, folder: RunFolder, facts: Callable[[], Facts]) -> None:
        """Let the run keep its files in a folder, checkpoints whole, and its processes find each other.

        Args:
            folder: The folder.
            facts: What has to be the same on every rank, asked when they meet.

        Raises:
            InputError: If the processes can't find each other.
        """
        for refusal in launch_refusals(self.strategy):
            raise InputError(refusal)
        self.run_folder = folder
        install_checkpoint_io(self)
        self.callback(RankWatchdog).install(self, facts)

    def callback(self, kind: type[CallbackT]) -> CallbackT:
        """The first callback of a class that every run has."""
        callbacks: list[Callback] = self.callbacks  # type: ignore[attr-defined]  # set by a connector
        return next(callback for callback in callbacks if isinstance(callback, kind))

    def evaluate(
        self, model: LightningModule, data: LightningDataModule, split: Split = "val", **options: Any
    ) -> dict[str, float]:
        """Let the policy write on held-out samples.

        Args:
            model: Holds the policy and the metrics.
            data: The samples.
            split: ``val`` or ``test``.
            **options: Those of Lightning's ``Trainer.validate`` or ``test``.

        Returns:
            Every score by its logged name.
        """
        evaluate = self.test if split == "test" else self.validate
        parts = evaluate(model, datamodule=data, **{**options, "verbose": False})
        return {name: score for part in parts for name, score in part.items()}

    @property
    def log_dir(self) -> str | None:
        """The run's folder, that of the first process."""
        if self.run_folder is None:
            return super().log_dir
        return self.strategy.broadcast(str(self.run_folder))

    @property
    def received_sigterm(self) -> bool:
        """Whether to end after this batch."""
        callbacks: list[Callback] = self.callbacks  # type: ignore[attr-defined]  # set by a connector
        stops = [callback for callback in callbacks if isinstance(callback, StopOnSignal)]
        return any(stop.asks_to_stop(self) for stop in stops) if stops else super().received_sigterm

"""Hugging Face folders of the trained policy."""

from __future__ import annotations

from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import FSDPStrategy, Strategy

from vrft_pl.data import VisionTask
from vrft_pl.distributed import any_rank, strategy_class
from vrft_pl.policy.checkpoint import note_data
from vrft_pl.runs import RunFolder, as_config, hub
from vrft_pl.runs.card import Best
from vrft_pl.runs.objects import arguments, path_of
from vrft_pl.types import InputError

ABOUT_ROWS = {
    *("train", "val", "test", "on_bad_row", "verify_images", "most_pixels", "annotation_space"),
    *("batch_size", "eval_batch_size", "num_workers", "seed"),
}
"""Arguments of data that say where rows are and how they are read, and not how questions are asked."""


class HFExport(Callback):
    """Writes a Hugging Face folder to ``export`` in the run's folder at the end of ``fit``.

    ``vrft_pl.json`` in it says how the policy writes coordinates and how it was asked (family, style, template), which
    ``vrft_pl predict`` reads.

    Where a ``ModelCheckpoint`` watches a metric, the best policy so far is written to ``export-best`` as well.

    Args:
        enabled: Write at all.
        what: ``full`` writes an ordinary checkpoint, adapters merged; ``adapter`` the adapter alone, in the format of
            peft, which ``vrft_pl merge`` makes a checkpoint of. ``vrft_pl.json`` beside it says by ``quantize`` how the
            base was held in training, so that it is merged into those numbers.
        push_to_hub: Repository of the Hugging Face hub, such as ``me/counts``, that `vrft_pl fit` pushes ``export`` to
            at its end, with a model card, and ``export-best`` to its branch ``best``. A push that fails leaves the
            export as it is.
        private: Whether a repository that the push makes is private; one that is there keeps who may see it.
    """

    def __init__(
        self,
        enabled: bool = True,
        what: Literal["full", "adapter"] = "full",
        push_to_hub: str | None = None,
        private: bool = True,
    ) -> None:
        self.enabled = enabled
        self.what = what
        self.push_to_hub, self.private = push_to_hub, private
        self._best: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a strategy whose weights can't be put together, and an adapter that there is not."""
        policy: Any = getattr(pl_module, "policy", None)
        if stage == "fit" and (refusal := self.refusal(trainer.strategy, getattr(policy, "has_adapter", False))):
            raise InputError(refusal)

    def refusal(self, strategy: Strategy | str, has_adapter: bool) -> str | None:
        """Why nothing can be exported; ``None`` where it can, or need not.

        Args:
            strategy: The run's, by name or built.
            has_adapter: Whether the policy has one.
        """
        if self.push_to_hub is not None and (why := unpushable(self.push_to_hub, self.enabled)):
            return why
        if not self.enabled:
            return None
        if self.what == "adapter" and not has_adapter:
            return "Expected a policy with `lora` for `export.what: adapter`, but it has no adapter. Use `full`."
        if not issubclass(strategy_class(strategy), FSDPStrategy):
            return None
        return (
            "Expected a strategy whose weights can be gathered for the export, but got FSDPStrategy. Use "
            "`deepspeed_stage_3`, or `export.enabled: false`."
        )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Export when a checkpoint is being saved because it is the best one."""
        for callback in trainer.checkpoint_callbacks:
            if not isinstance(callback, ModelCheckpoint) or callback.best_model_score is None:
                continue
            score = float(callback.best_model_score)
            if any_rank(callback.monitor is not None and self._best.get(callback.state_key) != score):
                self._best[callback.state_key] = score
                self._export(trainer, pl_module, RunFolder.EXPORT_BEST)

    def best(self, trainer: Trainer) -> Best | None:
        """The metric that chose what is in ``export-best``, and its value; ``None`` where this run has written none."""
        savers = (saver for saver in trainer.checkpoint_callbacks if isinstance(saver, ModelCheckpoint))
        known = (saver for saver in savers if saver.state_key in self._best)
        return next(((str(saver.monitor), self._best[saver.state_key]) for saver in known), None)

    def state_dict(self) -> dict[str, Any]:
        """Best score exported so far, by the checkpoint callback that watches it."""
        return {"best": dict(self._best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score of the run that is resumed."""
        self._best = dict(state_dict["best"])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export the policy as it is at the end."""
        self._export(trainer, pl_module, RunFolder.EXPORT)

    def _export(self, trainer: Trainer, module: LightningModule, name: str) -> None:
        folder = RunFolder.of(trainer)
        if self.enabled:
            policy_module: Any = module
            write = policy_module.export_adapter if self.what == "adapter" else policy_module.export
            write(folder.path / name)  # every rank gathers, the first writes
            if trainer.is_global_zero and (asked := asked_as(getattr(trainer, "datamodule", None))):
                note_data(folder.path / name, asked)


def unpushable(name: str, exports: bool) -> str | None:
    """Why a repository of a hub will get nothing; ``None`` where it may.

    Args:
        name: Id of the repository.
        exports: Whether there will be an export.
    """
    return hub.refusal(name) if exports else "Expected `export.enabled` with `export.push_to_hub`. Leave one of them."


def asked_as(task: Any) -> dict[str, Any] | None:
    """How a run asks its questions: the family of its data and those of its arguments that are not about rows.

    Args:
        task: The data; ``None`` is returned for those of several families.
    """
    if not isinstance(task, VisionTask):
        return None
    given = {name: value for name, value in arguments(task).items() if name not in ABOUT_ROWS}
    return {"class_path": path_of(type(task)), "init_args": as_config(given)}

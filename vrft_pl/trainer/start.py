"""What a run leaves of how it was started, before anything else, and at its end of how it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from vrft_pl.modules import PolicyModule
from vrft_pl.policy.checkpoint import commit_of
from vrft_pl.runs import Claim, RunFolder
from vrft_pl.runs.manifest import data_ids, note_ways, write_manifest
from vrft_pl.trainer.base import RunTrainer
from vrft_pl.trainer.resuming import flat, refuse_changes
from vrft_pl.types import InputError


def claimed(folder: RunFolder, seen: tuple[bool, Path | None, int]) -> Claim:
    """Keep other processes out of the folder of a run.

    Args:
        folder: Of the run.
        seen: How far the run in it was when it was decided what to do.

    Raises:
        InputError: If another process writes into it, or has done so since.
    """
    claim = Claim(folder.path)
    if folder.progress() != seen:
        claim.release()
        raise InputError(
            f"Expected {folder} to stay as it was when this command began, but another process has gone on with the "
            "run since. Start the command again."
        )
    return claim


def write_start(
    trainer: RunTrainer, kind: str, command: Sequence[str], config: str, data: LightningDataModule, goes_on: bool
) -> None:
    """Write down what is run, and tell the loggers.

    Args:
        trainer: The run's.
        kind: What it does: ``fit``, ``validate``, ``test`` or ``predict``.
        command: What started the process.
        config: The resolved config.
        data: The run's data, set up.
        goes_on: Whether it has to be the run that the folder holds.

    Raises:
        InputError: If it is another one in what decides on a step.
    """
    folder, resolved = trainer.run_folder, yaml.safe_load(config)
    assert folder is not None
    if goes_on:
        refuse_changes(folder, flat(resolved), data_ids(data, ("train", "val")))
    if not trainer.is_global_zero:
        return
    folder.write_text(RunFolder.CONFIG, config)
    write_manifest(folder, kind, command, resolved, trainer, data)
    for logger in trainer.loggers:
        logger.log_hyperparams(resolved)


def note_end(trainer: Trainer, module: LightningModule, folder: RunFolder) -> None:
    """Write down how the model was computed."""
    if not isinstance(module, PolicyModule) or not trainer.is_global_zero:
        return
    policy, verdicts = module.policy, module.policy.verdicts
    if verdicts is not None:
        commit = commit_of(policy.weights.checkpoint, policy.weights.revision)
        note_ways(folder, type(policy.hf_model).__name__, verdicts.state_dict(), commit)

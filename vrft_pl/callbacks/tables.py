"""Records as tables of W&B, with their pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence

import wandb
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger

from vrft_pl.callbacks.pictures import draw_record
from vrft_pl.runs import CompletionRecord, RunFolder


def log_table(trainer: Trainer, folder: RunFolder, name: str, records: Sequence[CompletionRecord]) -> None:
    """Show records to the W&B loggers of a run, a row each, with the truth and the answer drawn on their pictures.

    Args:
        trainer: The run's trainer.
        folder: The run's folder, which holds the pictures.
        name: Name of the table.
        records: At least one, or nothing is shown.
    """
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    if not loggers or not records:
        return
    data = [[*map(cell, vars(record).values()), shown(record, folder)] for record in records]
    for logger in loggers:
        logger.log_table(name, columns=[*vars(records[0]), "picture"], data=data, step=records[0].step)


def cell(value: object) -> object:
    """What a table can hold: text, numbers, and JSON of everything else."""
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


def shown(record: CompletionRecord, folder: RunFolder) -> wandb.Image | None:
    """The picture of a record, where one is kept."""
    image = draw_record(record, folder)
    return None if image is None else wandb.Image(image, file_type="jpg")  # a tenth of a PNG of a photograph

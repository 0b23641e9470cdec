"""Records as loggers show them: tables, and pictures with the truth and the answer drawn on them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from vrft_pl.callbacks.pictures import draw_record
from vrft_pl.cells import markdown_table
from vrft_pl.runs import CompletionRecord, RunFolder

if TYPE_CHECKING:
    import wandb

Drawn = tuple[CompletionRecord, Image.Image | None]
"""A record and its picture, where one is kept."""


def log_table(trainer: Trainer, folder: RunFolder, name: str, records: Sequence[CompletionRecord]) -> None:
    """Show records to the loggers of a run, each as it can.

    Args:
        trainer: The run's trainer.
        folder: The run's folder, which holds the pictures.
        name: Name of the table.
        records: At least one, or nothing is shown.
    """
    shows = [logger for logger in trainer.loggers if show.dispatch(type(logger)) is not show.dispatch(object)]
    if not shows or not records:
        return
    drawn = [(record, draw_record(record, folder)) for record in records]
    for logger in shows:
        show(logger, name, drawn)


@singledispatch
def show(logger: Logger, name: str, drawn: Sequence[Drawn]) -> None:
    """Show records to a logger; to one that is not known here nothing.

    ``show.register`` teaches it a kind of logger.

    Args:
        logger: One of the run's.
        name: Name of the table.
        drawn: The records, at least one, with their pictures.
    """


@show.register
def _(logger: WandbLogger, name: str, drawn: Sequence[Drawn]) -> None:
    rows = [[*map(cell, vars(record).values()), image and jpeg(image)] for record, image in drawn]
    first = drawn[0][0]
    logger.log_table(name, columns=[*vars(first), "picture"], data=rows, step=first.step)


@show.register
def _(logger: TensorBoardLogger, name: str, drawn: Sequence[Drawn]) -> None:
    step = drawn[0][0].step
    logger.experiment.add_text(name, markdown([record for record, _ in drawn]), step)
    for place, image in pictures(name, drawn):
        logger.experiment.add_image(place, np.asarray(image), step, dataformats="HWC")


@show.register
def _(logger: MLFlowLogger, name: str, drawn: Sequence[Drawn]) -> None:
    step, client = drawn[0][0].step, logger.experiment
    client.log_dict(logger.run_id, [record.row_of_json() for record, _ in drawn], f"{name}/{step:06}.json")
    for place, image in pictures(name, drawn):
        client.log_image(logger.run_id, image, key=place, step=step)


def jpeg(image: Image.Image) -> wandb.Image:
    """A picture as W&B takes it, a tenth of a PNG of a photograph."""
    import wandb

    return wandb.Image(image, file_type="jpg")


def pictures(name: str, drawn: Sequence[Drawn]) -> Iterator[tuple[str, Image.Image]]:
    """The pictures that there are, each under a name that is the same at every step."""
    for i, (record, image) in enumerate(drawn):
        if image is not None:
            yield f"{name}/{record.split}/{i}", image


def cell(value: object) -> object:
    """What a table can hold: text, numbers, and JSON of everything else."""
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


def markdown(records: Sequence[CompletionRecord]) -> str:
    """A table of what was asked, true and written, and of its scores; a tag such as ``<think>`` is shown, not taken."""
    columns = ("id", "problem", "answer", "completion", "scores", "advantage")
    rows = [[plain(cell(getattr(record, column))) for column in columns] for record in records]
    return markdown_table(columns, rows)


def plain(value: object) -> str:
    r"""A value in a cell of Markdown.

    Example:
        >>> plain("<answer>3</answer>\n|")
        '&lt;answer>3&lt;/answer> \\|'
    """
    return " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")

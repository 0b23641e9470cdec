"""Loggers beside the file of numbers that every run keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger

from vrft_pl.runs.folder import RunFolder
from vrft_pl.runs.metrics import MetricsLogger
from vrft_pl.types import InputError


def with_metrics(folder: Path, given: Logger | Sequence[Logger]) -> list[Logger]:
    """Loggers of a run, the one of its ``metrics.csv`` first.

    Args:
        folder: Folder of the run.
        given: Those beside it, one or several; a `MetricsLogger` among them takes its place.

    Raises:
        InputError: If one of them can't keep what a run logs.
    """
    others = [given] if isinstance(given, Logger) else list(given)
    for refusal in filter(None, (refusal_of(other, folder) for other in others)):
        raise InputError(refusal)
    return others if any(isinstance(other, MetricsLogger) for other in others) else [MetricsLogger(folder), *others]


def refusal_of(logger: Logger, folder: Path) -> str | None:
    """Why a logger can't keep what a run logs; ``None`` where it can."""
    if isinstance(logger, CSVLogger) and Path(logger.log_dir).absolute() == folder.absolute():
        return (
            f"Expected no CSVLogger in {folder}, where the run keeps its own {RunFolder.METRICS}, which it would "
            "delete. Leave it out, or name another `save_dir`."
        )
    if isinstance(logger, MLFlowLogger) and urlsplit(logger._tracking_uri or "").scheme in ("", "file"):
        return (
            "Expected `tracking_uri` of MLFlowLogger to be a server or a database, such as `sqlite:///mlflow.db`, but "
            f"got {logger._tracking_uri}: its files can't hold `train/reward` beside `train/reward/<Name>`."
        )
    return None

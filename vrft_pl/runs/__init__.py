"""What a run writes and reads again: whole files, records that go on after a resume, checkpoints."""

from vrft_pl.runs.checkpoints import (
    WholeCheckpointIO,
    checkpoint_folders,
    install_checkpoint_io,
    last_checkpoint,
    newest_checkpoint,
)
from vrft_pl.runs.metrics import CutBack, MetricsLogger
from vrft_pl.runs.records import append_rows, cut_back
from vrft_pl.runs.tracking import WandbOrOffline

__all__ = [
    "CutBack",
    "MetricsLogger",
    "WandbOrOffline",
    "WholeCheckpointIO",
    "append_rows",
    "checkpoint_folders",
    "cut_back",
    "install_checkpoint_io",
    "last_checkpoint",
    "newest_checkpoint",
]

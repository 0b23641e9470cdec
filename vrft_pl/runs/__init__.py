"""What a run writes and reads again, and the loggers that write for it."""

from vrft_pl.runs.ablation import AblationFolder, AblationResults
from vrft_pl.runs.checkpoints import WholeCheckpointIO, install_checkpoint_io
from vrft_pl.runs.checksums import damage
from vrft_pl.runs.claim import Claim
from vrft_pl.runs.cut_back import CutBack
from vrft_pl.runs.folder import RunFolder
from vrft_pl.runs.loggers import with_metrics
from vrft_pl.runs.loop import install_loop
from vrft_pl.runs.metrics import MetricsLogger
from vrft_pl.runs.objects import as_config
from vrft_pl.runs.records import CompletionRecord, Key, describe
from vrft_pl.runs.tracking import WandbMode, WandbOrOffline, run_loggers

__all__ = [
    "AblationFolder",
    "AblationResults",
    "Claim",
    "CompletionRecord",
    "CutBack",
    "Key",
    "MetricsLogger",
    "RunFolder",
    "WandbMode",
    "WandbOrOffline",
    "WholeCheckpointIO",
    "as_config",
    "describe",
    "damage",
    "install_checkpoint_io",
    "install_loop",
    "run_loggers",
    "with_metrics",
]
